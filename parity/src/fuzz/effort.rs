//! How much is tried, and on which of Panal's engines: the options of `fuzz`.

use super::engines::{self, Way};

/// What the options say.
#[derive(Debug, PartialEq, Eq)]
pub struct Effort {
    pub engines: Vec<Way>,
    pub seconds: u64,
    /// How many programs at most. When it is told, programs that take verifiers long are all asked.
    pub programs: Option<u64>,
    pub seed: u64,
    /// How many disagreements of each kind are shrunk and shown.
    pub show: usize,
    /// Threads.
    pub jobs: usize,
    pub json: Option<String>,
    /// A run's JSON: its disagreements are asked again, nothing else is.
    pub again: Option<String>,
    /// A folder for both kernels' whole logs of what is shown.
    pub logs: Option<String>,
}

impl Effort {
    /// From arguments; what is wrong with them.
    pub fn parse(args: &[String]) -> Result<Effort, String> {
        let mut effort = Effort {
            engines: engines::ALL.to_vec(),
            seconds: 60,
            programs: None,
            seed: 1,
            show: 5,
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            json: None,
            again: None,
            logs: None,
        };
        let mut rest = args.iter();
        while let Some(flag) = rest.next() {
            let mut value = || rest.next().ok_or(format!("{flag} wants a value"));
            let number = |text: &String| -> Result<u64, String> {
                text.parse()
                    .map_err(|_| format!("{flag} wants a number, not {text}"))
            };
            match flag.as_str() {
                "--engine" => {
                    let name = value()?;
                    effort.engines = engines::named(name).ok_or_else(|| {
                        let known = engines::names(&engines::ALL);
                        format!("--engine wants {known} or all, not {name}")
                    })?;
                }
                "--seconds" => effort.seconds = number(value()?)?,
                "--programs" => effort.programs = Some(number(value()?)?),
                "--seed" => effort.seed = number(value()?)?,
                "--show" => effort.show = number(value()?)? as usize,
                "--jobs" => match number(value()?)? {
                    0 => return Err("--jobs wants at least 1".to_owned()),
                    jobs => effort.jobs = jobs.min(256) as usize,
                },
                "--again" => effort.again = Some(value()?.clone()),
                "--logs" => effort.logs = Some(value()?.clone()),
                "--json" => effort.json = Some(value()?.clone()),
                other => return Err(format!("no such option: {other}")),
            }
        }
        Ok(effort)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Effort, String> {
        let args: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        Effort::parse(&args)
    }

    #[test]
    fn what_is_wrong_with_options_is_said() {
        for (words, why) in [
            ("--seconds", "--seconds wants a value"),
            ("--seconds soon", "--seconds wants a number, not soon"),
            (
                "--engine gpu",
                "--engine wants interp, jit, cage, baseline, opt, opt-baseline or all, not gpu",
            ),
            ("--jobs 0", "--jobs wants at least 1"),
            ("--fast yes", "no such option: --fast"),
        ] {
            assert_eq!(parse(words), Err(why.to_owned()), "{words}");
        }
    }

    #[test]
    fn options_are_taken() {
        let effort = parse("--engine jit --seed 7 --programs 3 --jobs 2 --json out").unwrap();
        assert_eq!(engines::names(&effort.engines), "jit");
        assert_eq!((effort.seed, effort.programs, effort.jobs), (7, Some(3), 2));
        assert_eq!(effort.json.as_deref(), Some("out"));
    }
}
