//! What is told of a verification: Linux's log, and rejections for people.

mod advice;
mod explain;
mod limits;
mod log;
mod origin;
mod record;
mod state_text;
mod words;

pub use explain::{explain, of_program};
pub use log::{
    figures, functions, log_call, log_loop, log_marked, log_program, log_propagated, log_return,
    log_safe, log_segment, log_start, log_step, log_summary, trace_step,
};
pub use record::Recorder;
pub use state_text::state_text;
