//! The same small programs on Panal's kernel and, where it lets us, on Linux: maps, helpers and test
//! runs must give the same.

mod case;
mod mapping;
mod run;

use std::{os::fd::AsRawFd, path::Path, sync::Arc};

use libtest_mimic::{Arguments, Failed, Trial};
use panal_kernel::{Engine, PanalKernel};
use panal_linux::LinuxKernel;
use panal_uapi::kernel::Fd;
use run::Subject;

/// Panal's kernel, where the file behind a map is its own.
fn panal(kernel: PanalKernel) -> Arc<Subject> {
    let kernel = Arc::new(kernel);
    let owner = kernel.clone();
    Arc::new(Subject {
        kernel,
        file: Box::new(move |map: &Fd| {
            let map = owner.map(map).ok()?;
            map.core().memfd().map(|file| file.as_raw_fd())
        }),
    })
}

fn main() {
    let args = Arguments::from_args();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<_> = std::fs::read_dir(&directory)
        .expect("the directory of cases")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let plain = panal(PanalKernel::new().expect("a kernel"));
    // The same kernel, but every access of every run must lie in a live object.
    let checked = PanalKernel::builder().checked(true).build();
    let checked = panal(checked.expect("a kernel"));
    let compiled = |caged| {
        let builder = PanalKernel::builder().engine(Engine::MachineCode);
        panal(builder.caged(caged).build().expect("a kernel"))
    };
    let (jit, cage) = (compiled(false), compiled(true));
    let linux = Arc::new(Subject {
        kernel: Arc::new(LinuxKernel::new()),
        file: Box::new(|map: &Fd| Some(map.number())),
    });
    let linux_says_no = run::usable(&*linux.kernel).err();
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
            let mut add = |subject: &Arc<Subject>, name: &str| {
                let (subject, case) = (subject.clone(), case.clone());
                trials.push(Trial::test(
                    format!("{name}/{stem}/{}", case.name),
                    move || run::run(&subject, &case).map_err(Failed::from),
                ));
            };
            add(&plain, "panal");
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
