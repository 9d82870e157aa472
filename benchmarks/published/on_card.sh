#!/usr/bin/env bash
# On a machine with a card: install what is missing, measure the speed of the steps once, spend the rest of the
# time on the rows, and pack what was found. README.md beside this file says what must be there.
#
#     bash benchmarks/published/on_card.sh SECONDS [--jobs N] [--smallest --device cpu]
set -euo pipefail
budget=${1:?how many seconds may it take?}
shift
cd "$(dirname "$0")/../.."
home=${WORK:-data/work/published}
back=${OUT:-$home}
python=${PYTHON:-python3}
packing=12 # seconds that packing may take
export PYTHONUNBUFFERED=1 PYTHONPATH=$PWD/src:$(realpath -m "$home")/site

if ! "$python" -c "import pydantic" 2>/dev/null; then
    "$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$home/site" "$home"/wheels/*.whl
fi
if compgen -G "$home/out.tar.gz.*" >/dev/null && [ ! -d "$home/out" ]; then
    cat "$home"/out.tar.gz.* | tar -xz -C "$home"
fi
mkdir -p "$home/out" "$back"

if [[ " $* " == *" --smallest "* ]]; then smallest=(--smallest --device cpu); else smallest=(); fi
if [ ! -e "$home/out/gpu.json" ]; then
    timeout 200 "$python" -m benchmarks.speed.gpu --budget 170 --output "$home/out/gpu.json" "${smallest[@]}" 2>&1 |
        tee "$home/out/gpu.log" || echo "the speed of the steps was not measured to the end"
fi
"$python" -m benchmarks.published --data "$home/cifar10.npz" --out "$home/out" --device cuda \
    --budget $((budget - SECONDS - packing)) "$@" 2>&1 | tee -a "$home/out/published.log" ||
    echo "the rows ended with an error"
rm -f "$back"/out.tar.gz.*
# In parts, for wherever the size of a file is limited.
tar -cz -C "$home" out | split -b 12M - "$back/out.tar.gz."
echo "$SECONDS seconds in all"
