//! A verification from start to end.

use alloc::{boxed::Box, string::String};

use panal_uapi::kernel::VerifierStats;

use crate::{
    Outcome, Proof, Request, Subprogram, cfg,
    env::Env,
    error::{Check, reject},
    explore, global, liveness, precision, privilege,
    program::Program,
    report, stack_depth, subprograms, transfer,
};

/// Proves a program safe, or explains why not.
pub fn verify(request: &Request<'_>) -> Outcome {
    let mut functions = String::new();
    let mut decoded = false;
    let prepared = check_type(request)
        .and_then(|()| privilege::check_load(request))
        .and_then(|()| {
            decoded = true;
            Program::new(request)
        })
        .and_then(|program| {
            if request.log_level & 2 != 0 {
                functions = report::functions(&program);
            }
            Env::new(request, program)
        });
    let mut env = match prepared {
        Ok(env) => env,
        Err(reject) => {
            let body = reject.into_body();
            let limit = request.profile.limits.processed;
            let log = match (request.log_level, decoded) {
                (0, _) => String::new(),
                (_, false) => alloc::format!("{}\n", body.linux),
                (_, true) => alloc::format!(
                    "{functions}{}\n{}",
                    body.linux,
                    report::figures(limit, &Default::default())
                ),
            };
            return Outcome {
                result: Err(Box::new(report::of_program(request, body))),
                stats: VerifierStats::default(),
                log,
            };
        }
    };
    let now = || request.clock.map_or(0, |clock| clock());
    let begin = now();
    let verdict = check(&mut env);
    let stats = VerifierStats {
        processed: env.search.processed,
        total_states: env.search.total_states,
        peak_states: env.search.peak_states,
        stack_depth: verdict.as_ref().copied().unwrap_or(0),
        time_ns: now().saturating_sub(begin),
    };
    match verdict {
        Ok(_) => {
            report::log_summary(&mut env);
            let (proof, log) = finish(env);
            Outcome {
                result: Ok(proof),
                stats,
                log,
            }
        }
        Err(reject) => {
            let rejection = report::explain(&mut env, reject);
            report::log_summary(&mut env);
            Outcome {
                result: Err(Box::new(rejection)),
                stats,
                log: env.log.into_text(),
            }
        }
    }
}

/// A program type that the kernel does not have is refused before the verifier is asked: without a
/// log.
fn check_type(request: &Request<'_>) -> Check {
    let (profile, prog_type) = (request.profile, request.prog_type);
    if profile.has_prog_type(prog_type) {
        return Ok(());
    }
    let (major, minor) = prog_type.since();
    Err(reject!(NotAllowed, EINVAL, "").because(alloc::format!(
        "{} has no programs of type {prog_type}; Linux {major}.{minor} brought them",
        profile.name
    )))
}

/// All checks; gives the stack's depth.
///
/// # Errors
/// The first violation found.
pub fn check(env: &mut Env<'_>) -> Check<u32> {
    privilege::check_calls(env)?;
    crate::calls::check_kfuncs(env)?;
    crate::access::attach::check(env)?;
    transfer::check_map_loads(env)?;
    cfg::check(env)?;
    liveness::prepare(env);
    precision::registers_concerned(env);
    check_results(env)?;
    report::log_program(env);
    if env.since(6, 8) && !global::returns_number(env, 0) {
        let name = &env.program.subprograms[0].name;
        env.log.write(format_args!(
            "Global function {name}() doesn't return scalar. Only those are supported.\n"
        ));
    }
    search(env, 0)?;
    if let Some(handler) = env.program.exception_handler {
        search(env, handler)?;
    }
    check_global_functions(env)?;
    stack_depth::check(env)
}

/// What uses legacy packet loads or tail calls may end there, with an integer as result.
fn check_results(env: &Env<'_>) -> Check {
    use panal_btf::Kind;
    for (index, sub) in env.program.subprograms.iter().enumerate() {
        let returns = env.request.types.and_then(|types| {
            let proto = types.btf.prototype(sub.ty?)?;
            Some(types.btf.resolve(proto.ret).1)
        });
        let Some(ret) = returns else {
            // What it returns is not known.
            let found = match (sub.has_packet_load, sub.has_tail_call) {
                (true, _) => "LD_ABS",
                (_, true) => "tail_call",
                _ => continue,
            };
            if index == 0 {
                continue;
            }
            return Err(reject!(
                Types,
                EINVAL,
                "{found} is not allowed in subprogs without BTF"
            ));
        };
        let scalar = matches!(ret.kind, Kind::Int { .. } | Kind::Enum { .. });
        if index == 0 || scalar {
            continue;
        }
        if sub.has_packet_load {
            return Err(reject!(
                Types,
                EINVAL,
                "LD_ABS is only allowed in functions that return 'int'."
            ));
        }
        if sub.has_tail_call {
            return Err(reject!(
                Types,
                EINVAL,
                "tail_call is only allowed in functions that return 'int'."
            ));
        }
    }
    Ok(())
}

fn search(env: &mut Env<'_>, subprog: u32) -> Check {
    let slots = env.program.len();
    env.search.restart(slots);
    env.current_subprogram = subprog;
    let start = env.program.subprograms[subprog as usize].start;
    env.slot = start;
    report::log_start(env);
    let state = subprograms::entry_state(env, subprog)?;
    if let Some(recorder) = &mut env.recorder {
        recorder.start();
    }
    explore::run(env, state, start)?;
    // At level 1 nothing is told of what was found safe.
    env.log.back_to(0);
    Ok(())
}

/// Global functions that something calls, each on its own; they may call others.
fn check_global_functions(env: &mut Env<'_>) -> Check {
    let n = env.program.subprograms.len();
    let mut done = alloc::vec![false; n];
    loop {
        let next = (1..n).find(|&i| {
            let sub = &env.program.subprograms[i];
            sub.global && sub.called && !sub.exception_handler && !done[i]
        });
        let Some(index) = next else { return Ok(()) };
        done[index] = true;
        let name = env.program.subprograms[index].name.clone();
        env.log
            .write(format_args!("Validating {name}() func#{index}...\n"));
        search(env, index as u32)?;
        env.log.write(format_args!(
            "Func#{index} ('{name}') is safe for any args that match its prototype\n"
        ));
    }
}

/// See [`Proof::longest_run`].
fn longest_run(env: &Env<'_>) -> Option<u64> {
    let program = &env.program;
    let apart = |s: &crate::program::Subprog| s.callback || s.global || s.exception_handler;
    let rounds = env.aux.iter().any(|a| a.iter_next || a.calls_callback)
        || (0..program.len()).any(|slot| {
            let instruction = program.get(slot);
            matches!(instruction, Some(panal_isa::Instruction::MayGoto { .. }))
        });
    // The main program counts as global, and is verified from its own start.
    let apart = program.subprograms.iter().skip(1).any(apart);
    (!rounds && !apart).then_some(env.search.processed)
}

fn finish(env: Env<'_>) -> (Proof, String) {
    let longest_run = longest_run(&env);
    let subprograms = env
        .program
        .subprograms
        .iter()
        .map(|s| Subprogram {
            start: s.start as u32,
            end: s.end as u32,
            stack_depth: s.stack_depth.min(512),
            is_callback: s.callback,
            is_global: s.global,
            tail_call_reachable: s.tail_call_reachable,
        })
        .collect();
    let aux = env.aux;
    let (facts, calls) = env
        .facts
        .finish(|slot| aux.get(slot).is_some_and(|a| a.seen));
    let proof = Proof {
        name: String::from(env.request.name),
        prog_type: env.request.prog_type,
        attach_type: env.request.attach_type,
        flags: env.request.flags,
        slots: env.program.slots,
        facts,
        calls,
        instructions: env.program.instructions,
        subprograms,
        map_count: env.request.maps.len(),
        longest_run,
    };
    (proof, env.log.into_text())
}
