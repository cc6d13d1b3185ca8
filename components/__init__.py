"""The steps: one file per stage, thin KFP wrappers around one core call each.

A body reads its inputs, makes one call into the core and writes its outputs. It runs in an image where kfp exports
no decorators, so nothing it imports may reach this package.
"""
