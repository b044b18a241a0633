//! Commands about programs.

use panal_isa::assemble;
use panal_uapi::{
    AttachType, ProgType,
    kernel::{Failure, Fd, LoadError, ProgFlags, ProgSpec, TestRun},
};

use super::{bytes::number, parse_bytes, show_bytes, world::World};
use crate::setup::{Names, function_types, told};

/// What the next programs are, and what they are run with.
pub struct Settings {
    prog_type: ProgType,
    attach_type: Option<AttachType>,
    flags: ProgFlags,
    license: String,
    run: TestRun,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            prog_type: ProgType::Unspec,
            attach_type: None,
            flags: ProgFlags::empty(),
            license: "GPL".to_owned(),
            run: TestRun::default(),
        }
    }
}

type Answer = Result<String, Failure>;

/// The answer to a command; `None` when it is not one about programs.
pub fn apply(world: &mut World<'_>, words: &[&str], block: &str) -> Result<Option<Answer>, String> {
    let done = || Some(Ok(String::new()));
    let settings = &mut world.settings;
    Ok(match *words {
        ["type", name] => {
            let known = ProgType::from_name(name).ok_or("no such program type")?;
            settings.prog_type = known;
            settings.flags = match known {
                // Linux has them only so.
                ProgType::Syscall => ProgFlags::SLEEPABLE,
                _ => ProgFlags::empty(),
            };
            done()
        }
        ["attach", name] => {
            settings.attach_type = Some(AttachType::from_name(name).ok_or("no such attach type")?);
            done()
        }
        ["flags", "sleepable"] => {
            settings.flags |= ProgFlags::SLEEPABLE;
            done()
        }
        ["license", ref words @ ..] => {
            settings.license = words.join(" ");
            done()
        }
        ["in", ref words @ ..] => {
            settings.run.data_in = parse_bytes(words)?;
            done()
        }
        ["ctx", ref words @ ..] => {
            settings.run.ctx_in = parse_bytes(words)?;
            done()
        }
        ["repeat", n] => {
            settings.run.repeat = number(n)? as u32;
            done()
        }
        ["run-flags", n] => {
            settings.run.flags = number(n)? as u32;
            done()
        }
        ["run-cpu", n] => {
            settings.run.cpu = number(n)? as u32;
            done()
        }
        ["wait", n] => {
            std::thread::sleep(std::time::Duration::from_millis(number(n)? as u64));
            done()
        }
        ["prog"] => {
            let fd = load(world, block)?.map_err(told)?;
            run(world, &fd);
            world.last = Some(fd);
            done()
        }
        ["load"] => {
            world.last = Some(load(world, block)?.map_err(told)?);
            done()
        }
        ["run"] => {
            let fd = world.last.clone().ok_or("no program")?;
            run(world, &fd);
            done()
        }
        ["prog", name] => Some(match load(world, block)? {
            Ok(fd) => {
                world.programs.insert(name.to_owned(), fd);
                Ok("ok".to_owned())
            }
            Err(error) => {
                world.programs.remove(name);
                Err(match error {
                    LoadError::Failed(failure) => failure,
                    LoadError::Rejected { errno, log, .. } => Failure {
                        command: "BPF_PROG_LOAD",
                        errno,
                        detail: log,
                    },
                })
            }
        }),
        ["run", name] => {
            let fd = world.programs.get(name).ok_or("no such program")?.clone();
            run(world, &fd);
            done()
        }
        ["try", ..] => Some(match load(world, block)? {
            Ok(fd) => {
                run(world, &fd);
                let sent = world.settings.run.data_in.clone();
                result(world)?.map(|result| {
                    let retval = result.retval as i32;
                    match result.data_out == sent {
                        true => retval.to_string(),
                        false => format!("{retval} packet {}", show_bytes(&result.data_out)),
                    }
                })
            }
            Err(LoadError::Failed(failure)) => return Err(failure.to_string()),
            Err(LoadError::Rejected { errno, log, .. }) => Err(Failure {
                command: "BPF_PROG_LOAD",
                errno,
                detail: log,
            }),
        }),
        ["call", name, ref words @ ..] => {
            world.settings.run.ctx_in = parse_bytes(words)?;
            let fd = world.programs.get(name).ok_or("no such program")?.clone();
            run(world, &fd);
            Some(result(world)?.map(|result| (result.retval as i32).to_string()))
        }
        ["ret"] => Some(result(world)?.map(|result| (result.retval as i32).to_string())),
        ["out"] => Some(result(world)?.map(|result| show_bytes(&result.data_out))),
        ["ctxout", size] => {
            let size = number(size)? as usize;
            let cut = |bytes: &[u8]| show_bytes(&bytes[..bytes.len().min(size)]);
            Some(result(world)?.map(|result| cut(&result.ctx_out)))
        }
        _ => None,
    })
}

fn result<'w>(
    world: &'w World<'_>,
) -> Result<Result<&'w panal_uapi::kernel::TestRunResult, Failure>, String> {
    let result = world.result.as_ref().ok_or("nothing has run")?;
    if let Some(why) = result.as_ref().ok().and_then(|r| r.stopped.as_ref()) {
        return Err(format!("stopped: {why}"));
    }
    Ok(result.as_ref().map_err(Failure::clone))
}

fn run(world: &mut World<'_>, prog: &Fd) {
    world.result = Some(world.kernel.prog_test_run(prog, &world.settings.run));
}

fn load(world: &World<'_>, text: &str) -> Result<Result<Fd, LoadError>, String> {
    let names = &mut Names::of(world.kernel, &world.maps);
    let assembled = assemble(text, names).map_err(|e| e.to_string())?;
    let (btf, funcs) = function_types(world.kernel, text, &assembled)?;
    let settings = &world.settings;
    let spec = ProgSpec {
        attach_type: settings.attach_type,
        flags: settings.flags,
        license: settings.license.clone(),
        btf,
        funcs,
        log_level: 1,
        ..ProgSpec::new("case", settings.prog_type, assembled.slots)
    };
    Ok(world.kernel.prog_load(&spec).map(|loaded| loaded.fd))
}
