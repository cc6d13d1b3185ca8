"""The images the steps run in. ``interlock compile --images`` replaces them by digest in the compiled template."""

ML = "interlock-ml:0.1.0"
DATA = "interlock-data:0.1.0"
SERVE = "interlock-serve:0.1.0"
