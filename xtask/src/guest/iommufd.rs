//! The guest's VFIO modules once more, with iommufd and device files (cdev).
//!
//! Debian's kernels have been built without `CONFIG_IOMMUFD` so far, up to 7.3. Nearly all that this option adds is in
//! modules, and the kernel itself exports what they need; so the same kernel takes modules that are built here with it,
//! from Debian's source and headers of that kernel. The modules without it, which Debian built, are tested as well.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Failure, at, run};

/// What is built: folder in the source, and name. Each after those it needs; `irqbypass` comes from Debian.
const MODULES: [(&str, &str); 5] = [
    ("drivers/iommu/iommufd", "iommufd"),
    ("drivers/vfio", "vfio"),
    ("drivers/vfio", "vfio_iommu_type1"),
    ("drivers/vfio/pci", "vfio-pci-core"),
    ("drivers/vfio/pci", "vfio-pci"),
];
/// What of the source is unpacked.
const SOURCES: [&str; 4] =
    ["*/drivers/vfio/*", "*/drivers/iommu/iommufd/*", "*/drivers/iommu/*.h", "*/lib/interval_tree.c"];
/// The options, for the makefiles and for the compiler.
const OPTIONS: [&str; 2] = ["CONFIG_IOMMUFD=m", "CONFIG_VFIO_DEVICE_CDEV=y"];
const DEFINITIONS: &str =
    "-DCONFIG_IOMMUFD_MODULE=1 -DCONFIG_VFIO_DEVICE_CDEV=1 -DCONFIG_INTERVAL_TREE_SPAN_ITER=1";
/// The one function that the kernel itself would have with the option; here it goes into iommufd.
const SPANS: &str = "\
#include <linux/export.h>
#undef EXPORT_SYMBOL_GPL
#define EXPORT_SYMBOL_GPL(name)
#include \"../../../lib/interval_tree.c\"
";
/// Compiler of Debian 12, with which the kernel was built.
const COMPILER: &str = "x86_64-linux-gnu-gcc-12";

/// The modules below `root`, in the order of loading, if they were built.
pub fn find(root: &Path) -> Option<Vec<(String, PathBuf)>> {
    let path = |name: &str| folder(root).join(format!("{name}.ko"));
    MODULES.iter().map(|(_, name)| path(name).exists().then(|| ((*name).to_owned(), path(name)))).collect()
}

/// Builds them from the packages that were unpacked to `root`, and removes what only the build needs.
pub fn build(root: &Path, release: &str, series: &str) -> Result<(), Failure> {
    let work = root.join("iommufd-source");
    std::fs::create_dir_all(&work).map_err(at(&work))?;
    let packed = root.join(format!("usr/src/linux-source-{series}.tar.xz"));
    run(Command::new("tar")
        .args(["--strip-components=1", "--wildcards", "-xf"])
        .arg(&packed)
        .arg("-C")
        .arg(&work)
        .args(SOURCES))?;
    let write = |path: PathBuf, text: &str| std::fs::write(&path, text).map_err(at(&path));
    write(work.join("Kbuild"), "obj-m += drivers/iommu/iommufd/ drivers/vfio/\n")?;
    let iommufd = work.join("drivers/iommu/iommufd");
    write(iommufd.join("spans.c"), SPANS)?;
    let makefile = iommufd.join("Makefile");
    let text = std::fs::read_to_string(&makefile).map_err(at(&makefile))?;
    write(makefile, &format!("{text}\niommufd-y += spans.o\n"))?;
    // The package expects its files below /usr/src.
    let headers = root.join(format!("usr/src/linux-headers-{release}"));
    let makefile = headers.join("Makefile");
    let text = std::fs::read_to_string(&makefile).map_err(at(&makefile))?;
    let here = format!("{}/usr/src/", root.display());
    write(makefile, &text.replace(" /usr/src/", &format!(" {here}")))?;
    let mut make = Command::new("make");
    make.args(["-s", "-j2", "-C"]).arg(&headers).arg(format!("M={}", work.display())).args(OPTIONS);
    make.arg("CONFIG_DEBUG_INFO_BTF_MODULES=").arg(format!("KCFLAGS={DEFINITIONS}"));
    if Command::new(COMPILER).arg("--version").output().is_err() {
        make.arg("CC=gcc");
    }
    run(make.arg("modules"))?;
    std::fs::create_dir_all(folder(root)).map_err(at(folder(root)))?;
    for (place, name) in MODULES {
        let (built, kept) =
            (work.join(place).join(format!("{name}.ko")), folder(root).join(format!("{name}.ko")));
        run(Command::new("strip").arg("--strip-debug").arg("-o").arg(kept).arg(built))?;
    }
    for folder in [work, root.join("usr/src")] {
        std::fs::remove_dir_all(&folder).map_err(at(&folder))?;
    }
    Ok(())
}

fn folder(root: &Path) -> PathBuf {
    root.join("modules-iommufd")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_when_all_were_built() {
        let root = tempfile::tempdir().expect("a folder");
        assert_eq!(find(root.path()), None);
        std::fs::create_dir(folder(root.path())).expect("made");
        for (_, name) in MODULES {
            assert_eq!(find(root.path()), None);
            std::fs::write(folder(root.path()).join(format!("{name}.ko")), "").expect("written");
        }
        let names: Vec<String> = find(root.path()).expect("all").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["iommufd", "vfio", "vfio_iommu_type1", "vfio-pci-core", "vfio-pci"]);
    }
}
