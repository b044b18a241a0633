//! Maps of type struct_ops: registered by a link, or by their value alone.

use panal_uapi::{
    AttachType, Command,
    attr::MapElem,
    kernel::{Failure, Fd},
};

use super::{BPF_F_LINK, link};
use crate::{
    maps,
    sys::failure,
    undo::{Step, Undo},
};

/// The one element. Its address is in an attribute that a janitor uses.
static KEY: u32 = 0;

/// Holds the registration of a map whose value was set: by a link, if the map is for links. A map
/// that is not was registered by its value, which nothing but deleting it takes back.
pub fn attach(map: &Fd) -> Result<Fd, Failure> {
    if maps::raw_info(map)?.flags.bits() & BPF_F_LINK != 0 {
        return link(map, 0, Some(AttachType::StructOps), 0, "struct_ops");
    }
    let attr = MapElem {
        map_fd: map.number(),
        pad: 0,
        key: &raw const KEY as u64,
        value: 0,
        flags: 0,
    };
    Undo::hold(
        vec![Step::MapDelete(attr.to_bytes())],
        None,
        &[map.number()],
        vec![Box::new(map.clone())],
    )
    .map_err(|e| failure(Command::MapDeleteElem, e, "struct_ops"))
}
