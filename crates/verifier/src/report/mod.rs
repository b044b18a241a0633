//! What is told of a verification: Linux's log, and rejections for people.

mod explain;
mod log;
mod state_text;

pub use explain::{explain, trail};
pub use log::{log_call, log_safe, log_step, log_summary};
pub use state_text::state_text;
