//! Every map type, in memory that programs may touch.
