//! Panal's kernel: owns programs, maps and links; helpers, kfuncs, program types, hooks.
