"""Interlock: from a table to production traffic, with gates that mean something and rollback that is automatic.

Importing this package imports nothing else. In particular it never imports kfp, so that a component body
(which runs with ``_KFP_RUNTIME=true``) can import any module of the core.
"""

__version__ = "0.1.0"
