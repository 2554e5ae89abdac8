#!/usr/bin/env bash
# A short, repeatable run of the fuzzer over the policy parser, from the files of the other tests on.
cd "$(dirname "$0")/../.." || exit 1
target=build/tests/unit/fuzz_policy log=build/tests/fuzz_policy.log found=build/tests/fuzz-policy-short
rm -rf "$found" && mkdir -p "$found" || exit 1 # the fuzzer adds what it finds to the first directory
echo 1..1
if [ ! -x "$target" ]; then
	echo "ok 1 - fuzz_policy # SKIP $target is not built: make unit"
elif "$target" -runs=20000 -seed=1 -max_len=2048 -timeout=10 -dict=tests/unit/policy/fuzz.dict -artifact_prefix=build/tests/ \
	"$found" tests/unit/policy/good tests/unit/policy/bad >"$log" 2>&1; then
	echo "ok 1 - 20,000 inputs"
else
	tail -40 "$log" | sed 's/^/# /'
	echo "not ok 1 - 20,000 inputs, see $log"
fi
