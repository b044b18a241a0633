#!/bin/sh
# Rebuilds the committed objects from their sources: `tests/compiled.rs` checks that they agree.
set -e
cd "$(dirname "$0")"
for source in *.c *.s; do
    case $source in
    *.c) flags="-O2 -g -fdebug-compilation-dir=. -mcpu=v3" ;;
    *) flags= ;;
    esac
    ${CLANG:-clang-22} -target bpfel $flags -c "$source" -o "${source%.*}.o"
done
