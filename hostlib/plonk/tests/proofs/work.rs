//! What is counted before a proof is made is what the engine did, however memory is used.

use std::collections::BTreeMap;
use std::fs;

use kiln_kernels::Engine;
use kiln_plonk::{Holding, MemoryPlan, ProvingKey, Randomness, Silent, Srs, Work, prove_within};

use crate::sample::{Sample, Setting, cpu_engine};

/// Calls and elements of each kernel so far.
fn kernels(engine: &Engine) -> BTreeMap<&'static str, (u64, u64)> {
    let report = engine.report();
    let kernels = report.devices.iter().flat_map(|device| &device.kernels);
    kernels.map(|(name, totals)| (*name, (totals.calls, totals.elements))).collect()
}

/// Proves with an engine of its own, and compares.
fn check(setting: &Setting, pk: &ProvingKey, plan: &MemoryPlan) -> Work {
    let Setting { sample, srs, statement, secret, .. } = setting;
    let engine = cpu_engine();
    let work = Work::of(pk, srs, sample, plan).unwrap();
    let rng = Randomness::insecure_from_seed([5; 32]);
    prove_within(&engine, pk, srs, statement, secret, sample, rng, &Silent, plan).unwrap();
    let did = kernels(&engine);
    let elements = |kernel: &str| did.get(kernel).map_or(0, |(_, elements)| *elements);
    assert_eq!(work.commitments, did["msm"].0, "{plan}");
    for (kernel, counted) in [
        ("msm", work.full + work.small),
        ("interpolate_coset", work.interpolated),
        ("evaluate_on_coset", work.on_cosets),
        ("pointwise", work.program_rows),
        ("place", work.placed),
        ("invert", work.inverted),
        ("evaluate", work.evaluated),
        ("divide_linear", work.divided),
    ] {
        assert_eq!(counted, elements(kernel), "{kernel}: {plan}");
    }
    work
}

#[test]
fn the_work_counted_ahead_is_what_the_kernels_report_however_memory_is_used() {
    for (k, degree) in [(7, 3), (8, 5)] {
        let folder = tempfile::tempdir().unwrap();
        let setting = Setting::new(Sample::new(k, degree));
        let path = folder.path().join("key");
        setting.pk.write(&setting.engine, fs::File::create(&path).unwrap()).unwrap();
        for pk in [&setting.pk, &ProvingKey::open(&path).unwrap()] {
            check(&setting, pk, &MemoryPlan::default());
            let directory = Some(folder.path());
            let options = MemoryPlan::options(pk, &setting.srs, &setting.sample, 0, directory).unwrap();
            assert!(options.len() >= 6);
            for plan in &options {
                check(&setting, pk, plan);
            }
        }
    }
}

#[test]
fn a_reference_string_that_is_too_large_takes_transforms_which_are_counted() {
    let sample = Sample::new(6, 4);
    let exact = Setting::new(sample.clone());
    let larger = Setting::with_srs(sample, cpu_engine(), Srs::insecure_local(7, [7; 32]).unwrap());
    let plan = MemoryPlan::default();
    let (exact, larger) = (check(&exact, &exact.pk, &plan), check(&larger, &larger.pk, &plan));
    assert!(larger.butterflies > exact.butterflies && larger.small < exact.small);
}

#[test]
fn a_circuit_is_counted_before_its_keys_as_with_a_key_that_lies_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::new(Sample::new(7, 4));
    let path = folder.path().join("key");
    setting.pk.write(&setting.engine, fs::File::create(&path).unwrap()).unwrap();
    let pk = ProvingKey::open(&path).unwrap();
    let counted = Work::of_circuit(&setting.sample.circuit, &setting.sample).unwrap();
    assert_eq!(counted, Work::of(&pk, &setting.srs, &setting.sample, &MemoryPlan::default()).unwrap());
}

#[test]
fn making_columns_again_and_taking_slices_is_never_counted_as_less() {
    let setting = Setting::new(Sample::new(10, 5));
    let options = MemoryPlan::options(&setting.pk, &setting.srs, &setting.sample, 0, None).unwrap();
    let of = |plan: &MemoryPlan| Work::of(&setting.pk, &setting.srs, &setting.sample, plan).unwrap();
    for plan in &options {
        let counted = of(plan);
        for other in &options {
            if (plan.holding(), plan.slices()) != (other.holding(), other.slices())
                && plan.holding() <= other.holding()
                && plan.slices() <= other.slices()
                && (plan.holding() == Holding::Memory || plan.stage_columns() == other.stage_columns())
            {
                let more = of(other);
                let name = format!("{plan}, against {other}");
                assert!(counted.interpolated <= more.interpolated, "{name}");
                assert!(counted.made < more.made, "{name}");
                assert_eq!((counted.full, counted.small), (more.full, more.small), "{name}");
            }
        }
    }
}

#[test]
fn columns_that_are_made_for_all_slices_are_never_made_more_often_than_for_each() {
    let setting = Setting::new(Sample::new(10, 5));
    let options = MemoryPlan::options(&setting.pk, &setting.srs, &setting.sample, 0, None).unwrap();
    let of = |plan: &MemoryPlan| Work::of(&setting.pk, &setting.srs, &setting.sample, plan).unwrap();
    let mut compared = 0;
    for each in
        options.iter().filter(|plan| plan.holding() == Holding::Rows && plan.stage_columns().is_none())
    {
        let same = |plan: &&MemoryPlan| plan.holding() == Holding::Rows && plan.slices() == each.slices();
        for stages in options.iter().filter(same).filter(|plan| plan.stage_columns().is_some()) {
            let (less, more) = (of(stages), of(each));
            assert!(less.interpolated < more.interpolated, "{stages}, against {each}");
            assert!(less.on_cosets >= more.on_cosets, "{stages}, against {each}");
            compared += 1;
        }
    }
    assert!(compared > 6);
}
