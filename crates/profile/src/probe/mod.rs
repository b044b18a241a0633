//! Asks a kernel what it has, by small programs and maps that are gone again at once. The questions
//! are the same for every kernel behind the contract.

mod kernel_types;
mod kfuncs;
mod loads;
mod maps;
mod programs;

use panal_uapi::kernel::Kernel;

use crate::{Features, host};

/// Asks everything. `kernel` is asked through the contract alone; with `running`, it is the one that
/// this process runs on, whose settings are read, too.
pub fn probe(kernel: &dyn Kernel, running: bool) -> Features {
    let loads = loads::Loads::new(kernel);
    let program_types = programs::types(&loads);
    let helpers = programs::helpers(&loads, &program_types);
    Features {
        kernel: kernel.name(),
        version: kernel.version(),
        cpus: kernel.cpus(),
        capabilities: if running {
            u32::from(host::capabilities().bits())
        } else {
            u32::from(panal_uapi::Capabilities::all().bits())
        },
        map_types: maps::types(kernel),
        instructions: programs::instructions(&loads),
        verifier: programs::verifier(&loads),
        attach_types: kernel_types::attach_types(&loads),
        links: kernel_types::links(&loads),
        kernel_functions: kfuncs::functions(&loads),
        sysctls: if running {
            let read = |name: &&str| ((*name).to_owned(), host::sysctl(name));
            host::SYSCTLS.iter().map(read).collect()
        } else {
            Default::default()
        },
        config: if running { host::config() } else { None },
        program_types,
        helpers,
    }
}
