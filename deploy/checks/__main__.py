"""Command line: `deploy/check` prints a line for each overlay, and every problem."""

import argparse
import sys

from serve.cluster.ray_compat import set_ray_environment

set_ray_environment()  # Ray reads the variables when it is first imported, which is below

from deploy.checks import generated, kustomize, overlays, schemas  # noqa: E402


def main() -> int:
    """Check every overlay and return an exit status."""
    parser = argparse.ArgumentParser(prog="deploy/check", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the generated files first")
    if parser.parse_args().write:
        generated.write()
    if schemas.ray_service_schema() is None:
        print(f"note: {schemas.HOW_TO_GET}")
    outdated = generated.outdated()
    print("".join(f"{problem}\n" for problem in outdated), end="")
    failed = len(outdated)
    for name in kustomize.OVERLAYS:
        try:
            manifests = kustomize.overlay(name)
            problems = overlays.problems_of(manifests)
        except kustomize.BuildFailed as error:
            manifests = []
            problems = [str(error)]
        print(f"{name}: {len(manifests)} manifests, {len(problems)} problems")
        print("".join(f"  {problem}\n" for problem in problems), end="")
        failed += bool(problems)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
