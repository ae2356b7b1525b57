"""Key for administration that the tests share."""

import hashlib

ADMIN_SECRET = "fye-operator"
ADMIN_SHA256 = hashlib.sha256(ADMIN_SECRET.encode()).hexdigest()
ADMIN_HEADERS = {"authorization": f"Bearer {ADMIN_SECRET}"}
