//! The statement as a circuit of `halo2-axiom` (KZG over BN254, SHPLONK), with the same reference string.

use ark_bn254::{Fr as OurFr, G1Affine as OurG1, G2Affine as OurG2};
use ark_ec::AffineRepr;
use ark_ff::{FftField, One, PrimeField};
use ark_std::rand::SeedableRng;
use ark_std::rand::rngs::StdRng;
use halo2_axiom::circuit::{Layouter, Region, SimpleFloorPlanner, Value};
use halo2_axiom::halo2curves::CurveAffine;
use halo2_axiom::halo2curves::bn256::{Bn256, Fq, Fq2, Fr, G1Affine, G2Affine};
use halo2_axiom::halo2curves::ff::PrimeField as _;
use halo2_axiom::plonk::{
    Advice, Circuit, Column, ConstraintSystem, Error, Fixed, ProvingKey, TableColumn, create_proof,
    keygen_pk, keygen_vk, verify_proof,
};
use halo2_axiom::poly::commitment::ParamsProver;
use halo2_axiom::poly::kzg::commitment::{KZGCommitmentScheme, ParamsKZG};
use halo2_axiom::poly::kzg::multiopen::{ProverSHPLONK, VerifierSHPLONK};
use halo2_axiom::poly::kzg::strategy::SingleStrategy;
use halo2_axiom::poly::{EvaluationDomain, Rotation};
use halo2_axiom::transcript::{
    Blake2bRead, Blake2bWrite, Challenge255, TranscriptReadBuffer, TranscriptWriterBuffer,
};
use kiln_plonk::Srs;

use super::Prover;
use super::shape::{self, Part};
use crate::error::Failure;

/// What it is called in reports.
pub const NAME: &str = "halo2-axiom 0.5 (KZG, SHPLONK)";

/// halo2's prover with its keys.
pub struct Halo2 {
    params: ParamsKZG<Bn256>,
    pk: ProvingKey<G1Affine>,
    circuit: Statement,
}

impl Halo2 {
    pub fn new(srs: &Srs) -> Result<Self, Failure> {
        let params = params(srs)?;
        let circuit = Statement { log_rows: srs.k(), columns: shape::witness(srs.k()) };
        let refused = |e| Failure::device("make halo2's keys", e);
        let vk = keygen_vk(&params, &circuit).map_err(refused)?;
        let pk = keygen_pk(&params, vk, &circuit).map_err(refused)?;
        Ok(Self { params, pk, circuit })
    }
}

impl Prover for Halo2 {
    fn prove(&self) -> Result<Vec<u8>, Failure> {
        let mut transcript = Blake2bWrite::<_, _, Challenge255<_>>::init(vec![]);
        let circuit = self.circuit.clone();
        create_proof::<KZGCommitmentScheme<Bn256>, ProverSHPLONK<'_, Bn256>, _, _, _, _>(
            &self.params,
            &self.pk,
            &[circuit],
            &[&[]],
            StdRng::from_entropy(),
            &mut transcript,
        )
        .map_err(|e| Failure::device("prove with halo2", e))?;
        Ok(transcript.finalize())
    }

    fn verify(&self, proof: &[u8]) -> Result<(), Failure> {
        let mut transcript = Blake2bRead::<_, _, Challenge255<_>>::init(proof);
        let params = self.params.verifier_params();
        let strategy = SingleStrategy::new(params);
        verify_proof::<KZGCommitmentScheme<Bn256>, VerifierSHPLONK<'_, Bn256>, _, _, _>(
            params,
            self.pk.get_vk(),
            strategy,
            &[&[]],
            &mut transcript,
        )
        .map_err(|e| Failure::device("verify with halo2", e))
    }
}

// ---- the reference string in halo2's types -----------------------------------------------------------------------

fn params(srs: &Srs) -> Result<ParamsKZG<Bn256>, Failure> {
    let log_rows = srs.k();
    let powers = srs.monomial().iter().take(1 << log_rows).map(g1).collect::<Option<Vec<_>>>();
    let verifier = srs.verifier();
    let parts =
        powers.zip(lagrange(log_rows, srs.lagrange())).zip(g2(&verifier.g2).zip(g2(&verifier.tau_g2)));
    let ((powers, lagrange), (g2, tau_g2)) =
        parts.ok_or_else(|| Failure::Input("the reference string has no form that halo2 takes".into()))?;
    // halo2 makes parameters of parts only from others.
    let smallest = ParamsKZG::<Bn256>::setup(1, StdRng::seed_from_u64(1));
    Ok(smallest.from_parts(log_rows, powers, Some(lagrange), g2, tau_g2))
}

/// The Lagrange points in halo2's order: its generator of the rows is another power of the same root of unity.
fn lagrange(log_rows: u32, points: &[OurG1]) -> Option<Vec<G1Affine>> {
    let theirs = EvaluationDomain::<Fr>::new(1, log_rows).get_omega();
    let theirs = OurFr::from_le_bytes_mod_order(theirs.to_repr().as_ref());
    let ours = OurFr::get_root_of_unity(1 << log_rows)?;
    let mut powers = std::iter::successors(Some(OurFr::one()), |power| Some(*power * ours));
    let exponent = powers.by_ref().take(points.len()).position(|power| power == theirs)?;
    (0..points.len()).map(|row| g1(&points[row * exponent % points.len()])).collect()
}

fn fq(element: ark_bn254::Fq) -> Fq {
    Fq::from_raw(element.into_bigint().0)
}

fn g1(point: &OurG1) -> Option<G1Affine> {
    let (x, y) = point.xy()?;
    G1Affine::from_xy(fq(x), fq(y)).into()
}

fn g2(point: &OurG2) -> Option<G2Affine> {
    let (x, y) = point.xy()?;
    let fq2 = |element: ark_bn254::Fq2| Fq2 { c0: fq(element.c0), c1: fq(element.c1) };
    G2Affine::from_xy(fq2(x), fq2(y)).into()
}

// ---- the statement -----------------------------------------------------------------------------------------------

#[derive(Clone)]
struct Statement {
    log_rows: u32,
    columns: Vec<Vec<i32>>,
}

#[derive(Clone)]
struct Config {
    advice: Vec<Column<Advice>>,
    selector: Column<Fixed>,
    range: TableColumn,
}

impl Circuit<Fr> for Statement {
    type Config = Config;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = ();

    fn without_witnesses(&self) -> Self {
        self.clone()
    }

    fn configure(meta: &mut ConstraintSystem<Fr>) -> Config {
        let advice: Vec<Column<Advice>> = (0..shape::COLUMNS).map(|_| meta.advice_column()).collect();
        let selector = meta.fixed_column();
        let range = meta.lookup_table_column();
        for column in shape::copied() {
            meta.enable_equality(advice[column]);
        }
        for group in 0..shape::GROUPS {
            meta.create_gate("a·b + c = d", |cells| {
                let [a, b, c, d] = [Part::A, Part::B, Part::C, Part::D]
                    .map(|part| cells.query_advice(advice[shape::column(group, part)], Rotation::cur()));
                vec![cells.query_fixed(selector, Rotation::cur()) * (a * b + c - d)]
            });
        }
        for column in shape::ranged() {
            meta.lookup("range", |cells| vec![(cells.query_advice(advice[column], Rotation::cur()), range)]);
        }
        Config { advice, selector, range }
    }

    fn synthesize(&self, config: Config, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        layouter.assign_table(
            || "range",
            |mut table| {
                (0..1usize << shape::RANGE_BITS).try_for_each(|value| {
                    table.assign_cell(|| "", config.range, value, || Value::known(Fr::from(value as u64)))
                })
            },
        )?;
        layouter.assign_region(|| "rows", |mut region| self.assign(&config, &mut region))
    }
}

impl Statement {
    fn assign(&self, config: &Config, region: &mut Region<'_, Fr>) -> Result<(), Error> {
        let bound = (1usize << self.log_rows) - shape::IDLE_ROWS;
        let copies = shape::copies();
        let mut carried: Vec<Option<halo2_axiom::circuit::Cell>> = vec![None; copies.len()];
        for row in 0..bound {
            region.assign_fixed(config.selector, row, Fr::one());
            let cells: Vec<_> = config
                .advice
                .iter()
                .zip(&self.columns)
                .map(|(column, values)| {
                    let value = Value::known(Fr::from(u64::from(values[row].unsigned_abs())));
                    region.assign_advice(*column, row, value).cell()
                })
                .collect();
            for ((from, to, on), carried) in copies.iter().zip(&mut carried) {
                if *on == 0 {
                    region.constrain_equal(cells[*from], cells[*to]);
                } else if let Some(before) = carried.replace(cells[*from]) {
                    region.constrain_equal(before, cells[*to]);
                }
            }
        }
        Ok(())
    }
}
