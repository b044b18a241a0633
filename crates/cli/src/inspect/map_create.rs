//! `panal map create PATH type TYPE key N value N entries N name NAME [flags F] [inner_map MAP]`

use panal_uapi::{
    MapType,
    inspect::{ObjectKind, OpenFlags},
    kernel::{MapFlags, MapSpec},
};

use super::{Answer, Asking, words::asked};
use crate::error::Problem;

pub fn create(asking: &Asking<'_>) -> Result<Answer, Problem> {
    let mut words = asking.words();
    let path = super::absolute(words.expect("the path to pin at")?);
    let place = asking.places.only()?;
    let mut spec = MapSpec::new(MapType::Unspec, 0, 0, 0);
    while let Some(word) = words.peek() {
        if words.take("type") {
            let name = words.expect("a map type")?;
            let known = MapType::from_name(name).filter(|t| *t != MapType::Unspec);
            spec.map_type = known.ok_or_else(|| {
                let all = MapType::ALL.iter().skip(1).map(|t| t.short_name());
                asked(format!(
                    "no map type `{name}`{}",
                    crate::object::choices(all)
                ))
            })?;
        } else if words.take("name") {
            spec.name = words.expect("a name")?.to_owned();
        } else if words.take("key") {
            spec.key_size = words.number("key size")?;
        } else if words.take("value") {
            spec.value_size = words.number("value size")?;
        } else if words.take("entries") {
            spec.max_entries = words.number("entries")?;
        } else if words.take("flags") {
            spec.flags = MapFlags::from_bits_retain(words.number("flags")?);
        } else if words.take("inner_map") {
            let selector = words.selector(ObjectKind::Map)?;
            let inner = asking
                .places
                .one(ObjectKind::Map, &selector, OpenFlags::empty())?;
            spec.inner = Some(inner.fd);
        } else {
            return Err(asked(format!(
                "expected type, name, key, value, entries, flags or inner_map, got `{word}`"
            )));
        }
    }
    if spec.map_type == MapType::Unspec {
        return Err(asked("map create: `type TYPE` is missing"));
    }
    if spec.name.is_empty() {
        return Err(asked("map create: `name NAME` is missing"));
    }
    let kernel = &place.kernel;
    let map = kernel.map_create(&spec).map_err(|f| place.failed(f))?;
    kernel.pin(&map, &path).map_err(|f| place.failed(f))?;
    Ok(asking.nothing())
}
