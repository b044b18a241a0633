//! Arguments of USDT probes, told to programs that read them with `bpf_usdt_arg`.
//!
//! libbpf's header `usdt.bpf.h` declares the two maps and the type of what they hold. The maps are
//! filled by that type's members, so that newer forms of it are, too.

use std::sync::{Mutex, PoisonError};

use panal_btf::value::Literal;
use panal_object::binary::{ProbeArgument, ProbePlace, probe_arguments};
use panal_uapi::kernel::update;

use crate::{Error, Loaded, error::Doing};

const SPECS: &str = "__bpf_usdt_specs";

/// What programs of an object were told by now: the arguments of probes, by number.
pub(crate) type Told = Mutex<Vec<String>>;

/// The number by which a program finds the arguments of a probe, which is the probe's attach
/// cookie; 0 when the object's programs read no arguments.
pub(crate) fn number(
    loaded: &Loaded<'_>,
    told: &Told,
    arguments: &str,
    fault: &dyn Fn(String) -> Error,
) -> Result<u64, Error> {
    let Ok(map) = loaded.map(SPECS) else {
        return Ok(0);
    };
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(number) = told.iter().position(|known| known == arguments) {
        return Ok(number as u64);
    }
    let number = told.len() as u32;
    let most = map.plan.max_entries;
    if number >= most {
        return Err(fault(format!(
            "more than {most} kinds of probes: define a larger BPF_USDT_MAX_SPEC_CNT"
        )));
    }
    let value = loaded.object().map(map.plan.id).definition.value_type;
    let (Some(btf), Some(ty)) = (loaded.object().btf(), value) else {
        return Err(fault(format!(
            "map {SPECS} has no type, so it cannot be filled"
        )));
    };
    let parsed = probe_arguments(arguments).map_err(|e| fault(e.to_string()))?;
    let bytes = btf.encode(ty, &spec(&parsed)).map_err(|e| {
        fault(format!(
            "its arguments `{arguments}` do not fit the object's usdt.bpf.h: {e}"
        ))
    })?;
    loaded
        .kernel()
        .map_update(&map.fd, &number.to_ne_bytes(), &bytes, update::BPF_ANY)
        .doing(|| format!("filling map {SPECS}"))?;
    told.push(arguments.to_owned());
    Ok(u64::from(number))
}

/// `struct __bpf_usdt_spec`
fn spec(arguments: &[ProbeArgument]) -> Literal {
    let structure = |members: Vec<(&str, Literal)>| {
        let named = members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        Literal::Fields(named.collect())
    };
    let number = |n: i128| Literal::Number(n);
    let args = arguments.iter().map(|argument| {
        let (kind, value, register) = match argument.place {
            ProbePlace::Constant(value) => ("BPF_USDT_ARG_CONST", value, 0),
            ProbePlace::Register(register) => ("BPF_USDT_ARG_REG", 0, register),
            ProbePlace::Memory { base, offset, .. } => ("BPF_USDT_ARG_REG_DEREF", offset, base),
        };
        let mut members = vec![
            ("val_off", number(i128::from(value as u64))),
            ("arg_type", Literal::Word(kind.into())),
            ("reg_off", number(i128::from(register))),
            ("arg_signed", number(i128::from(argument.signed))),
            ("arg_bitshift", number(64 - i128::from(argument.size) * 8)),
        ];
        if let ProbePlace::Memory {
            index: Some((index, shift)),
            ..
        } = argument.place
        {
            // Only newer headers have these members.
            members[1] = ("arg_type", Literal::Word("BPF_USDT_ARG_SIB".into()));
            members.push(("idx_reg_off", number(i128::from(index))));
            members.push(("scale_bitshift", number(i128::from(shift))));
        }
        structure(members)
    });
    structure(vec![
        ("args", Literal::List(args.collect())),
        ("arg_cnt", number(arguments.len() as i128)),
    ])
}
