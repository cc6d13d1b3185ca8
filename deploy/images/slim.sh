#!/bin/sh
# Take out of a model server's environment what serving never loads: slim.sh ENVIRONMENT
set -eu
cd "$1"/lib/python3*/site-packages

# Test suites, what compilers and type checkers read, and tools for making models.
find . -type d -name tests -prune -exec rm -r {} +
find . \( -name '*.p[yx][xdi]' -o -name '*.[ah]' \) -delete
rm numpy/_core/_simd.*.so numpy/_core/_*_tests.*.so # loaded by numpy's test suite
rm -r onnxruntime/transformers onnxruntime/tools onnxruntime/quantization onnxruntime/datasets numpy/f2py
# The C library of ONNX Runtime; the Python module holds a copy of its own.
if readelf --dynamic onnxruntime/capi/onnxruntime_pybind11_state*.so | grep -q 'NEEDED.*libonnxruntime\.so'; then
  echo "slim: onnxruntime's module links to libonnxruntime now; keep the file" >&2
  exit 1
fi
rm onnxruntime/capi/libonnxruntime.so.*
# Debugging symbols, in the wheels that ship them. Not numpy.libs: patched libraries do not survive it.
strip --strip-unneeded uvloop/*.so httptools/parser/*.so yaml/*.so cryptography/hazmat/bindings/*.so
