//! What `--sample` names: `cpu-clock`, `cycles@999`, `page-faults:1`.

use std::str::FromStr;

use panal_uapi::kernel::{PerfEvent, SampleRate};

/// An event, and how often a program sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleArg {
    pub event: PerfEvent,
    pub rate: SampleRate,
}

/// Samples a second if nothing is said: not in step with what happens a hundred times a second.
const FREQUENCY: u64 = 99;

const PERF_TYPE_HARDWARE: u32 = 0;
const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_TYPE_RAW: u32 = 4;

/// The names that perf(1) has, with `PERF_TYPE_*` and `PERF_COUNT_*`.
const EVENTS: &[(&str, u32, u64)] = &[
    ("cycles", PERF_TYPE_HARDWARE, 0),
    ("instructions", PERF_TYPE_HARDWARE, 1),
    ("cache-references", PERF_TYPE_HARDWARE, 2),
    ("cache-misses", PERF_TYPE_HARDWARE, 3),
    ("branches", PERF_TYPE_HARDWARE, 4),
    ("branch-misses", PERF_TYPE_HARDWARE, 5),
    ("bus-cycles", PERF_TYPE_HARDWARE, 6),
    ("stalled-cycles-frontend", PERF_TYPE_HARDWARE, 7),
    ("stalled-cycles-backend", PERF_TYPE_HARDWARE, 8),
    ("ref-cycles", PERF_TYPE_HARDWARE, 9),
    ("cpu-clock", PERF_TYPE_SOFTWARE, 0),
    ("task-clock", PERF_TYPE_SOFTWARE, 1),
    ("page-faults", PERF_TYPE_SOFTWARE, 2),
    ("context-switches", PERF_TYPE_SOFTWARE, 3),
    ("cpu-migrations", PERF_TYPE_SOFTWARE, 4),
    ("minor-faults", PERF_TYPE_SOFTWARE, 5),
    ("major-faults", PERF_TYPE_SOFTWARE, 6),
    ("alignment-faults", PERF_TYPE_SOFTWARE, 7),
    ("emulation-faults", PERF_TYPE_SOFTWARE, 8),
    ("cgroup-switches", PERF_TYPE_SOFTWARE, 11),
];

impl Default for SampleArg {
    /// `cpu-clock`
    fn default() -> Self {
        SampleArg {
            event: PerfEvent {
                kind: PERF_TYPE_SOFTWARE,
                config: 0,
            },
            rate: SampleRate::Frequency(FREQUENCY),
        }
    }
}

impl FromStr for SampleArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let number = text.parse::<u64>().ok().filter(|number| *number > 0);
            number.ok_or_else(|| format!("`{text}` is no number above 0"))
        };
        let (name, rate) = match (text.split_once('@'), text.split_once(':')) {
            (Some((name, hertz)), _) => (name, SampleRate::Frequency(number(hertz)?)),
            (None, Some((name, events))) => (name, SampleRate::Period(number(events)?)),
            (None, None) => (text, SampleRate::Frequency(FREQUENCY)),
        };
        let raw = name
            .strip_prefix('r')
            .map(|hex| u64::from_str_radix(hex, 16));
        let (kind, config) = match (EVENTS.iter().find(|event| event.0 == name), raw) {
            (Some((_, kind, config)), _) => (*kind, *config),
            (None, Some(Ok(config))) => (PERF_TYPE_RAW, config),
            _ => {
                let names: Vec<_> = EVENTS.iter().map(|event| event.0).collect();
                let names = names.join(", ");
                return Err(format!("there are {names}, and rHEX for a raw event"));
            }
        };
        Ok(SampleArg {
            event: PerfEvent { kind, config },
            rate,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_a_frequency_or_a_period() {
        let parse = |text: &str| text.parse::<SampleArg>();
        let event = |kind, config, rate| {
            Ok(SampleArg {
                event: PerfEvent { kind, config },
                rate,
            })
        };
        assert_eq!(parse("cpu-clock"), event(1, 0, SampleRate::Frequency(99)));
        assert_eq!(
            parse("cycles@1000"),
            event(0, 0, SampleRate::Frequency(1000))
        );
        assert_eq!(parse("page-faults:1"), event(1, 2, SampleRate::Period(1)));
        assert_eq!(parse("r1c2:7"), event(4, 0x1c2, SampleRate::Period(7)));
        for wrong in ["", "sleep", "cycles@", "cycles@0", "cycles:-1", "rxyz"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
