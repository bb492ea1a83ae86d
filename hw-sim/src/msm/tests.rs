use super::*;
use ark_bn254::{G1Affine, G1Projective};
use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM};
use ark_ff::{AdditiveGroup, Field, UniformRand};
use ark_std::rand::Rng;

fn engine() -> MsmEngine {
    MsmEngine::new(&Profile::load("u55c").unwrap())
}

fn base(point: &G1Affine) -> Base {
    point.xy().map_or(Base::INFINITY, |(x, y)| Base { x, y })
}

fn points(count: usize) -> Vec<G1Affine> {
    let mut rng = ark_std::test_rng();
    let step = G1Projective::rand(&mut rng);
    let mut point = G1Projective::rand(&mut rng);
    let projective: Vec<G1Projective> = (0..count)
        .map(|_| {
            point += step;
            point
        })
        .collect();
    G1Projective::normalize_batch(&projective)
}

fn scalars(count: usize) -> Vec<Fr> {
    let mut rng = ark_std::test_rng();
    (0..count).map(|_| Fr::rand(&mut rng)).collect()
}

fn check(points: &[G1Affine], scalars: &[Fr], bits: u32) -> MsmReport {
    let bases: Vec<Base> = points.iter().map(base).collect();
    let (got, report) = engine().run(&bases, scalars, bits).unwrap();
    let expected = G1Projective::msm(points, scalars).unwrap().into_affine();
    assert_eq!(got, base(&expected));
    assert!(report.cost.cycles.balanced() && report.accumulation.balanced());
    let digits = points.len() as u64 * u64::from(report.plan.windows.count);
    assert_eq!(report.counts.issued + report.counts.zero_digits, digits);
    report
}

#[test]
fn random_scalars_agree_with_arkworks_at_all_sizes() {
    for count in [0, 1, 2, 3, 31, 257, 1500] {
        check(&points(count), &scalars(count), FULL_BITS);
    }
}

#[test]
fn edge_scalars_agree_with_arkworks() {
    let count = 64;
    let half = Fr::from(2u64).inverse().unwrap();
    for scalar in [Fr::ZERO, Fr::ONE, -Fr::ONE, half, -half, Fr::from(4096u64), Fr::from(4097u64)] {
        check(&points(count), &vec![scalar; count], FULL_BITS);
    }
    let mixed: Vec<Fr> =
        (0..count as u64).map(|i| if i % 3 == 0 { Fr::ZERO } else { -Fr::from(i % 5) }).collect();
    check(&points(count), &mixed, 3);
}

#[test]
fn small_signed_scalars_walk_few_windows() {
    let mut rng = ark_std::test_rng();
    let small: Vec<Fr> = (0..700).map(|_| Fr::from(rng.gen_range(-255i64..=255))).collect();
    assert!(check(&points(700), &small, 8).plan.windows.count <= 3);
    let wide: Vec<Fr> = (0..300).map(|_| Fr::from(rng.gen_range(-(1i64 << 40)..1 << 40))).collect();
    check(&points(300), &wide, 41);
}

#[test]
fn equal_opposite_and_infinite_points_take_the_exception_path() {
    let one = points(1)[0];
    let report = check(&vec![one; 300], &vec![Fr::from(5u64); 300], 3);
    assert!(report.counts.doublings > 0);
    let opposites: Vec<G1Affine> = (0..300).map(|i| if i % 2 == 0 { one } else { -one }).collect();
    check(&opposites, &vec![Fr::from(5u64); 300], FULL_BITS);
    check(&opposites, &scalars(300), FULL_BITS);
    check(&vec![one; 200], &scalars(200), FULL_BITS);
    let mut with_infinity = points(100);
    for point in with_infinity.iter_mut().step_by(3) {
        *point = G1Affine::identity();
    }
    check(&with_infinity, &scalars(100), FULL_BITS);
    check(&[one, -one], &[Fr::ONE; 2], 1);
}

#[test]
fn other_cards_give_the_same_point() {
    let (points, scalars) = (points(200), scalars(200));
    let bases: Vec<Base> = points.iter().map(base).collect();
    let mut expected = None;
    for adders in [1, 2, 3, 7, 20, 64] {
        let mut profile = Profile::load("u55c").unwrap();
        profile.msm.adders = adders;
        let (got, report) = MsmEngine::new(&profile).run(&bases, &scalars, FULL_BITS).unwrap();
        assert!(report.cost.cycles.balanced());
        assert_eq!(*expected.get_or_insert(got), got, "{adders} adders");
    }
}

#[test]
fn a_broken_promise_names_the_scalar() {
    let bases: Vec<Base> = points(3).iter().map(base).collect();
    let scalars = [Fr::from(255u64), -Fr::from(256u64), Fr::from(300u64)];
    assert_eq!(engine().run(&bases, &scalars, 8).unwrap_err(), BoundExceeded { index: 1, bits: 8 });
}

/// Random scalars and many buckets: the accumulation must come within 2 % of one digit a cycle and adder.
#[test]
fn large_accumulations_reach_one_digit_a_cycle_and_adder() {
    for (points, bits) in [(1u64 << 17, FULL_BITS), (1 << 20, 8), (1 << 20, 1)] {
        let report = engine().run_timing(points, bits, 1);
        let floor = points * u64::from(report.plan.windows.count);
        let lane_cycles = report.accumulation.total;
        assert!(
            lane_cycles >= floor && lane_cycles * 100 < floor * 102,
            "{bits} bits: {lane_cycles} of {floor}, {:?}",
            report.plan
        );
    }
}

#[test]
fn twice_the_adders_are_nearly_twice_as_fast() {
    let mut profile = Profile::load("u55c").unwrap();
    let cycles =
        |profile: &Profile| MsmEngine::new(profile).run_timing(1 << 18, FULL_BITS, 1).cost.cycles.total;
    let two = cycles(&profile);
    profile.msm.adders = 4;
    let four = cycles(&profile);
    assert!(four * 2 > two && four * 100 < two * 54, "{two} {four}");
}

#[test]
fn twice_the_clock_takes_the_same_cycles() {
    let mut profile = Profile::load("u55c").unwrap();
    let slow = MsmEngine::new(&profile).run_timing(1 << 14, FULL_BITS, 1).cost.cycles;
    profile.core_mhz *= 2;
    let fast = MsmEngine::new(&profile).run_timing(1 << 14, FULL_BITS, 1).cost.cycles;
    // Only the latency of the memory, fixed in time, counts more cycles.
    let latency = fast.stall_memory - slow.stall_memory;
    assert_eq!(fast.total - latency, slow.total);
    assert!(latency <= 71);
}

/// All scalars equal: every window has one bucket, which takes one point a pipeline.
#[test]
fn equal_scalars_are_slower_by_a_bounded_factor() {
    let count = 3000;
    let equal = check(&points(count), &vec![scalars(1)[0]; count], FULL_BITS).accumulation.total;
    let random = check(&points(count), &scalars(count), FULL_BITS).accumulation.total;
    assert!(equal > random && equal < 20 * random, "{equal} {random}");
}

#[test]
fn zero_scalars_cost_slicing_only() {
    let report = check(&points(500), &vec![Fr::ZERO; 500], 8);
    assert_eq!(report.counts.issued, 0);
    assert_eq!(report.counts.zero_digits, 500 * u64::from(report.plan.windows.count));
}

#[test]
fn runs_repeat_exactly() {
    let (points, scalars) = (points(400), scalars(400));
    assert_eq!(check(&points, &scalars, FULL_BITS), check(&points, &scalars, FULL_BITS));
    assert_eq!(engine().run_timing(5000, 16, 7), engine().run_timing(5000, 16, 7));
}

/// Published: Hardcaml's winner of ZPrize 2022 takes 5.40025 s at 250 MHz for 2^26 points: one adder, 20 windows, buckets
/// taken for 255 cycles. That is 20.118 cycles a point; its scheduler differs, so 1 % is allowed.
#[test]
fn cycles_a_point_come_close_to_a_published_design() {
    let mut profile = Profile::load("u55c").unwrap();
    profile.msm.adders = 1;
    profile.multiplier.latency_cycles = 54;
    profile.msm.bucket_ram_cycles = 18;
    let engine = MsmEngine::new(&profile);
    assert_eq!(engine.adder().bucket_latency(), 255);
    let plan = Plan {
        windows: digits::Windows::new(FULL_BITS, 13),
        replicas: 1,
        segment_bits: [12, 0, 0],
        levels: 1,
    };
    let points = 1u64 << 17;
    let source = RandomDigits::new(1, FULL_BITS);
    let cycles = engine.accumulate(points, source, plan, &mut Unfilled).lane_cycles.total;
    let per_point = cycles as f64 / points as f64;
    assert!((per_point / 20.118 - 1.0).abs() < 0.01, "{per_point}");
}
