//! Sources of events: each looks up what hangs at its hook points and runs it.
