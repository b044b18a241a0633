//! Loads and stores on the stack.
