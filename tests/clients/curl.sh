#!/usr/bin/env bash
# curl: tests/clients/curl.sh http://127.0.0.1:8000
set -uo pipefail
url=$1
json='content-type: application/json'
messages='"messages": [{"role": "user", "content": "Hang on, you speak Finnish?!"}]'
long=$(printf 'q %.0s' {1..1999})

check() { # FEATURE STATUS PATTERN ARGUMENTS...
    local feature=$1 status=$2 pattern=$3
    shift 3
    local found
    found=$(curl -s --max-time 120 -w '\n%{http_code}' "$@")
    if [ "${found##*$'\n'}" = "$status" ] && grep -q -- "$pattern" <<< "$found"; then echo "curl | $feature | ok"; else echo "curl | $feature | wrong answer"; fi
}

check "models" 200 '"id":"auto"' "$url/v1/models"
check "chat" 200 '"object":"chat.completion"' -H "$json" -d "{$messages}" "$url/v1/chat/completions"
check "chat stream" 200 '^data: \[DONE\]' -N -H "$json" -d "{$messages, \"stream\": true}" "$url/v1/chat/completions"
check "h2c offer" 200 '"object":"chat.completion"' --http2 -H "$json" -d "{$messages}" "$url/v1/chat/completions"
check "HTTP/1.0 stream" 200 '^data: \[DONE\]' --http1.0 -H "$json" -d "{$messages, \"stream\": true}" "$url/v1/chat/completions"
check "gzip body" 200 '"object":"chat.completion"' -H "$json" -H 'content-encoding: gzip' --data-binary "@-" \
    "$url/v1/chat/completions" < <(gzip -c <<< "{$messages}")
check "logprobs" 200 '"top_logprobs":\[{' -H "$json" -d "{$messages, \"logprobs\": true, \"top_logprobs\": 5}" "$url/v1/chat/completions"
check "responses" 200 '"object":"response"' -H "$json" -d '{"input": "hello"}' "$url/v1/responses"
check "responses stream" 200 '^event: response.completed' -H "$json" -d '{"input": "hello", "stream": true}' "$url/v1/responses"
check "completions" 200 '"object":"text_completion"' -H "$json" -d '{"prompt": "hello"}' "$url/v1/completions"
check "context overflow" 400 'context_length_exceeded' -H "$json" \
    -d "{\"messages\": [{\"role\": \"user\", \"content\": \"$long\"}, {\"role\": \"user\", \"content\": \"$long\"}]}" \
    "$url/v1/chat/completions"
check "embeddings refused" 404 'embeddings are not supported' -H "$json" -d '{}' "$url/v1/embeddings"
check "HEAD" 200 '^HTTP/1.1 200' -I "$url/healthz"
check "documentation page" 200 'docs/swagger-ui-bundle.js' "$url/docs"
