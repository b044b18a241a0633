//! The same small programs on Panal's kernel and, where it lets us, on Linux: maps, helpers and test
//! runs must give the same.

mod case;
mod run;

use std::{path::Path, sync::Arc};

use libtest_mimic::{Arguments, Failed, Trial};
use panal_kernel::{Engine, PanalKernel};
use panal_linux::LinuxKernel;
use panal_uapi::kernel::Kernel;

fn main() {
    let args = Arguments::from_args();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<_> = std::fs::read_dir(&directory)
        .expect("the directory of cases")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let panal: Arc<dyn Kernel> = Arc::new(PanalKernel::new().expect("a kernel"));
    // The same kernel, but every access of every run must lie in a live object.
    let checked = PanalKernel::builder().checked(true).build();
    let checked: Arc<dyn Kernel> = Arc::new(checked.expect("a kernel"));
    let compiled = |caged| -> Arc<dyn Kernel> {
        let builder = PanalKernel::builder().engine(Engine::MachineCode);
        Arc::new(builder.caged(caged).build().expect("a kernel"))
    };
    let (jit, cage) = (compiled(false), compiled(true));
    let linux: Arc<dyn Kernel> = Arc::new(LinuxKernel::new());
    let linux_says_no = run::usable(&*linux).err();
    if let Some(why) = &linux_says_no {
        eprintln!("skipped on Linux: {why}");
    }
    let mut trials = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a file of cases");
        let stem = file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for case in case::parse(&text) {
            let on_linux = case.only_panal.is_none() && linux_says_no.is_none();
            let case = Arc::new(case);
            let mut add = |kernel: &Arc<dyn Kernel>, name: &str| {
                let (kernel, case) = (kernel.clone(), case.clone());
                trials.push(Trial::test(
                    format!("{name}/{stem}/{}", case.name),
                    move || run::run(&*kernel, &case).map_err(Failed::from),
                ));
            };
            add(&panal, "panal");
            add(&checked, "checked");
            add(&jit, "jit");
            add(&cage, "cage");
            if on_linux {
                add(&linux, "linux");
            }
        }
    }
    libtest_mimic::run(&args, trials).exit();
}
