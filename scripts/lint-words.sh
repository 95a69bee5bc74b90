#!/usr/bin/env bash
# Checks spelling and vocabulary in the whole tree: words with typos (_typos.toml), phrases with scripts/phrases.tsv.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

typos=$(scripts/tool.sh path typos)
result=0
say "lint: words"
"$typos" --format brief || result=1

say "lint: phrases"
# The files that _typos.toml excludes.
excluded=()
while read -r path; do
    excluded+=(":(exclude,glob)$path" ":(exclude)${path%/}")
done < <(awk -F '"' '/^extend-exclude/, /^]/ { if (NF > 1) print $2 }' _typos.toml)
while IFS=$'\t' read -r pattern instead; do
    [[ $pattern != \#* ]] || continue
    if git grep --untracked -nIiE -e "$pattern" -- . "${excluded[@]}"; then
        say "    ^ say: $instead"
        result=1
    fi
done <scripts/phrases.tsv
exit "$result"
