//! A prover by the letter of the protocol, slow and plain, that lets a test change what it likes between any two steps.
//!
//! It draws its challenges from the transcript as it stands, so that all that follows a lie is consistent with it. A
//! quotient that does not exist is taken without its remainder.

use std::collections::BTreeMap;
use std::vec::Vec;

use ark_bn254::{Fr, G1Affine};
use ark_ff::{FftField, Field, One, PrimeField, Zero};

use super::polynomial::{
    Polynomial, add_scaled, divide_by_root, divide_by_vanishing, evaluate, interpolate, powers,
};
use super::sample::{K, ROWS, Setting, blinded};
use crate::arithmetic::Portable;
use crate::check::Check;
use crate::constraints::{self, Algebra, Challenges, Oracle, joined_fractions};
use crate::domain::root_of_unity;
use crate::encoding;
use crate::linearisation::{Evaluations, Linearisation, rotated};
use crate::opening_points::OpeningPoints;
use crate::plan::{Fraction, index};
use crate::proof::{DOMAIN, MAGIC, PROOF_VERSION};
use crate::statement::Statement;
use crate::transcript::{Transcript, keccak256};

/// What has just been worked out and is about to be committed to or sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Rows of the advice columns of a phase.
    Advice(usize),
    /// Rows of the multiplicities.
    Multiplicities,
    /// Rows of helpers and running sum.
    Helpers,
    /// The quotient's pieces, blinded.
    Quotient,
    /// Evaluations.
    Evaluations,
    /// The first opening point.
    W,
    /// The second opening point.
    WPrime,
}

/// A prover between two steps.
pub struct Prover<'a> {
    pub setting: &'a Setting,
    pub statement: Statement,
    pub transcript: Transcript,
    pub bytes: Vec<u8>,
    /// Values on the rows of what is not committed to yet, and of all that was.
    pub rows: BTreeMap<Oracle, Vec<Fr>>,
    pub coefficients: BTreeMap<Oracle, Polynomial>,
    pub circuit_challenges: Vec<Fr>,
    pub challenges: Challenges,
    pub alpha: Fr,
    pub zeta: Fr,
    pub v: Fr,
    pub u: Fr,
    pub pieces: Vec<Polynomial>,
    pub sent: Vec<Fr>,
    pub w: G1Affine,
    pub w_prime: G1Affine,
    /// What is sent in place of the commitment of a polynomial.
    pub instead: BTreeMap<Oracle, G1Affine>,
    /// Where the commitment of a polynomial lies in the proof.
    places: BTreeMap<Oracle, usize>,
    /// Where the commitments of the pieces begin.
    pieces_at: usize,
    /// Blinds nothing: for those who want to show what blinding is for.
    pub unblinded: bool,
    seed: u64,
}

/// The honest proof.
pub fn honest(setting: &Setting) -> Vec<u8> {
    prove(setting, &setting.statement, &mut |_, _| ())
}

/// A proof; `lie` may change anything at every step.
pub fn prove(
    setting: &Setting,
    statement: &Statement,
    lie: &mut dyn FnMut(Step, &mut Prover<'_>),
) -> Vec<u8> {
    Prover::new(setting, statement, 1).finish(lie)
}

impl<'a> Prover<'a> {
    /// Begins a proof.
    pub fn new(setting: &'a Setting, statement: &Statement, seed: u64) -> Self {
        let vk = &setting.vk;
        let mut transcript = Transcript::new(DOMAIN);
        statement.absorb(vk, &mut transcript);
        let mut rows = BTreeMap::new();
        let mut coefficients = BTreeMap::new();
        let fixed = setting.fixed.iter().enumerate().map(|(i, rows)| (Oracle::Fixed(index(i)), rows));
        let sigma = setting.sigma.iter().enumerate().map(|(i, rows)| (Oracle::Sigma(index(i)), rows));
        for (oracle, values) in fixed.chain(sigma) {
            coefficients.insert(oracle, interpolate(K, Fr::one(), values));
            rows.insert(oracle, values.clone());
        }
        coefficients.extend((0..).map(Oracle::Committed).zip(setting.committed.iter().cloned()));
        let nothing = Fr::zero();
        Self {
            setting,
            statement: statement.clone(),
            transcript,
            bytes: MAGIC.into_iter().chain([PROOF_VERSION]).collect(),
            rows,
            coefficients,
            circuit_challenges: Vec::new(),
            challenges: Challenges::placeholder(0),
            alpha: nothing,
            zeta: nothing,
            v: nothing,
            u: nothing,
            pieces: Vec::new(),
            sent: Vec::new(),
            w: G1Affine::identity(),
            w_prime: G1Affine::identity(),
            instead: BTreeMap::new(),
            places: BTreeMap::new(),
            pieces_at: 0,
            unblinded: false,
            seed,
        }
    }

    /// All rounds.
    pub fn finish(mut self, lie: &mut dyn FnMut(Step, &mut Prover<'_>)) -> Vec<u8> {
        self.phases(lie);
        self.lookup(lie);
        self.quotient(lie);
        self.evaluations(lie);
        self.opening(lie);
        self.bytes
    }

    fn random(&mut self) -> Fr {
        self.seed += 1;
        Fr::from_be_bytes_mod_order(&keccak256(&self.seed.to_be_bytes()))
    }

    // ----- rounds

    fn phases(&mut self, lie: &mut dyn FnMut(Step, &mut Prover<'_>)) {
        let vk = &self.setting.vk;
        for phase in 0..vk.plan.phases.len() {
            let columns = self.setting.advice(phase, &self.circuit_challenges);
            let oracles: Vec<_> = columns.iter().map(|(column, _)| Oracle::Advice(*column)).collect();
            self.rows.extend(columns.into_iter().map(|(column, rows)| (Oracle::Advice(column), rows)));
            lie(Step::Advice(phase), self);
            self.commit(&oracles, "an advice commitment");
            for name in vk.circuit.challenges.get(phase).into_iter().flatten() {
                self.circuit_challenges.push(self.transcript.challenge(name));
            }
        }
        let instance = vk.circuit.instance_columns(&self.statement.public_inputs, &self.circuit_challenges);
        for (i, rows) in instance.into_iter().enumerate() {
            self.coefficients.insert(Oracle::Instance(index(i)), interpolate(K, Fr::one(), &rows));
            self.rows.insert(Oracle::Instance(index(i)), rows);
        }
        let multiplicities: Vec<_> = (0..index(vk.plan.segments.len())).map(Oracle::Multiplicity).collect();
        for (segment, oracle) in multiplicities.iter().enumerate() {
            let rows = self.count(vk.plan.segments[segment]);
            self.rows.insert(*oracle, rows);
        }
        lie(Step::Multiplicities, self);
        self.commit(&multiplicities, "a multiplicity commitment");
    }

    /// How often the lookups of a table name each entry of a segment, which are all different here.
    fn count(&self, (table, segment): (u32, u32)) -> Vec<Fr> {
        let circuit = &self.setting.vk.circuit;
        let columns = &circuit.tables[table as usize].segments[segment as usize];
        let mut counts = std::vec![Fr::zero(); ROWS];
        for (number, lookup) in circuit.lookups.iter().enumerate() {
            if lookup.table != table || !Check::Fraction(Fraction::Lookup(index(number))).is_on() {
                continue;
            }
            for row in 0..ROWS {
                let tuple: Vec<Fr> = lookup
                    .inputs
                    .iter()
                    .map(|input| {
                        input.evaluate(&self.circuit_challenges, &mut |c, r| self.cell(c.into(), row, r))
                    })
                    .collect();
                let entry = |entry: &usize| {
                    columns.iter().zip(&tuple).all(|(c, value)| self.cell((*c).into(), *entry, 0) == *value)
                };
                if let Some(entry) = (0..ROWS).find(entry) {
                    counts[entry] += Fr::one();
                }
            }
        }
        counts
    }

    fn cell(&self, oracle: Oracle, row: usize, rotation: i32) -> Fr {
        let row = (row as i64 + i64::from(rotation)).rem_euclid(ROWS as i64) as usize;
        self.rows[&oracle][row]
    }

    fn lookup(&mut self, lie: &mut dyn FnMut(Step, &mut Prover<'_>)) {
        let vk = &self.setting.vk;
        self.challenges = Challenges::draw(self.circuit_challenges.clone(), &mut self.transcript);
        self.rows.insert(Oracle::Identity, powers(root_of_unity(K), ROWS));
        let helpers: Vec<_> = (0..index(vk.plan.helpers.len())).map(Oracle::Helper).collect();
        for (group, oracle) in vk.plan.helpers.iter().zip(&helpers) {
            let rows = (0..ROWS).map(|row| self.fractions(group, row)).collect();
            self.rows.insert(*oracle, rows);
        }
        self.sum_up();
        lie(Step::Helpers, self);
        self.commit(&helpers, "a helper commitment");
        self.commit(&[Oracle::RunningSum], "the running sum's commitment");
    }

    /// The sum of some fractions on a row.
    pub fn fractions(&self, group: &[Fraction], row: usize) -> Fr {
        let vk = &self.setting.vk;
        let mut algebra = OnRow { prover: self, row };
        let (top, bottom) = joined_fractions(&vk.circuit, group, &self.challenges, &mut algebra);
        top * bottom.inverse().unwrap()
    }

    /// The running sum of the helpers as they are.
    pub fn sum_up(&mut self) {
        let helpers = index(self.setting.vk.plan.helpers.len());
        let mut sum = Fr::zero();
        let rows = (0..ROWS).map(|row| {
            sum += (0..helpers).map(|helper| self.rows[&Oracle::Helper(helper)][row]).sum::<Fr>();
            sum
        });
        let rows = rows.collect();
        self.rows.insert(Oracle::RunningSum, rows);
    }

    fn quotient(&mut self, lie: &mut dyn FnMut(Step, &mut Prover<'_>)) {
        self.alpha = self.transcript.challenge("alpha");
        let (mut quotient, _) = divide_by_vanishing(&self.combined_constraints(), ROWS);
        let pieces = self.setting.vk.plan.pieces;
        quotient.resize(quotient.len().max(pieces * ROWS), Fr::zero());
        let mut borrowed = Fr::zero();
        for piece in 0..pieces {
            let end = if piece + 1 == pieces { quotient.len() } else { (piece + 1) * ROWS };
            let mut part = quotient[piece * ROWS..end].to_vec();
            part[0] -= borrowed;
            if piece + 1 < pieces {
                borrowed = if self.unblinded { Fr::zero() } else { self.random() };
                part.push(borrowed);
            }
            self.pieces.push(part);
        }
        lie(Step::Quotient, self);
        self.pieces_at = self.bytes.len();
        for piece in self.pieces.clone() {
            self.send_point(self.setting.commit(&piece), "a quotient commitment");
        }
    }

    /// Σ α^i·constraint_i, from its values on a coset that is large enough.
    fn combined_constraints(&self) -> Polynomial {
        let vk = &self.setting.vk;
        let longest = self.coefficients.values().map(Vec::len).max().unwrap();
        let size = (vk.circuit.degree as usize * longest).next_power_of_two();
        let k = size.ilog2();
        let points = powers(root_of_unity(k), size).into_iter().map(|x| x * Fr::GENERATOR);
        let values: Vec<Fr> = points.map(|x| self.constraints_at(x)).collect();
        interpolate(k, Fr::GENERATOR, &values)
    }

    fn constraints_at(&self, point: Fr) -> Fr {
        let vk = &self.setting.vk;
        let mut algebra = AtPoint { prover: self, point };
        let mut power = Fr::one();
        let mut sum = Fr::zero();
        for i in 0..constraints::count(&vk.circuit, &vk.plan) {
            let (_, value) =
                constraints::constraint(&vk.circuit, &vk.plan, &self.challenges, i, &mut algebra);
            if Check::Constraint(i).is_on() {
                sum += power * value;
            }
            power *= self.alpha;
        }
        sum
    }

    fn evaluations(&mut self, lie: &mut dyn FnMut(Step, &mut Prover<'_>)) {
        self.zeta = self.transcript.challenge("zeta");
        self.evaluate_again();
        lie(Step::Evaluations, self);
        for value in self.sent.clone() {
            if Check::AbsorbScalar.is_on() {
                self.transcript.absorb_scalar(&value);
            }
            self.bytes.extend(encoding::scalar_to_bytes(&value));
        }
    }

    /// All evaluations that the verifier will use.
    pub fn claimed(&self) -> Evaluations {
        let vk = &self.setting.vk;
        let public = &self.statement.public_inputs;
        Evaluations::new(&Portable, &vk.circuit, &vk.plan, &self.challenges, public, self.zeta, &self.sent)
            .unwrap()
    }

    /// The linearisation that the verifier will work out.
    pub fn linearisation(&self) -> Linearisation {
        let vk = &self.setting.vk;
        Linearisation::new(&Portable, &vk.circuit, &vk.plan, &self.challenges, self.alpha, &self.claimed())
    }

    /// The linearised polynomial, constant included: it should be zero at ζ.
    pub fn linearised(&self) -> Polynomial {
        let linearisation = self.linearisation();
        let mut sum = std::vec![linearisation.constant];
        for (oracle, factor) in &linearisation.terms {
            add_scaled(&mut sum, &self.coefficients[oracle], *factor);
        }
        for (piece, factor) in self.pieces.iter().zip(&linearisation.pieces) {
            add_scaled(&mut sum, piece, *factor);
        }
        sum
    }

    /// F_S of every point set, without the claimed values.
    fn combined(&self) -> Vec<Polynomial> {
        let mut power = Fr::one();
        let mut combined = Vec::new();
        for (set, content) in self.setting.vk.plan.point_sets.iter().enumerate() {
            let mut sum = Polynomial::new();
            if set == 0 {
                if Check::Linearised.is_on() {
                    sum = self.linearised();
                }
                power *= self.v;
            }
            for oracle in &content.oracles {
                if Check::Opened(*oracle).is_on() {
                    add_scaled(&mut sum, &self.coefficients[oracle], power);
                }
                power *= self.v;
            }
            combined.push(sum);
        }
        combined
    }

    /// Σ_S Z_{T∖S}(u)·(F_S − R_S(u)): what the verifier works out the commitment of, but for W and W'.
    pub fn numerator(&self, u: Fr) -> Polynomial {
        let points = OpeningPoints::new(&self.setting.vk.plan, self.zeta);
        let claimed = self.claimed();
        let mut sum = Polynomial::new();
        let mut power = self.v;
        for (set, polynomial) in self.combined().into_iter().enumerate() {
            let weight = points.others_at(set, u);
            add_scaled(&mut sum, &polynomial, weight);
            let content = &self.setting.vk.plan.point_sets[set];
            let basis = points.lagrange_at(set, u).unwrap();
            for oracle in &content.oracles {
                let values = content.rotations.iter().map(|rotation| claimed.value(*oracle, *rotation));
                let value: Fr = basis.iter().zip(values).map(|(l, value)| *l * value).sum();
                add_scaled(&mut sum, &[value], -weight * power);
                power *= self.v;
            }
        }
        sum
    }

    /// `Z_T(u)`
    pub fn all_points_at(&self, u: Fr) -> Fr {
        OpeningPoints::new(&self.setting.vk.plan, self.zeta).all_at(u)
    }

    fn opening(&mut self, lie: &mut dyn FnMut(Step, &mut Prover<'_>)) {
        self.v = self.transcript.challenge("v");
        let points = OpeningPoints::new(&self.setting.vk.plan, self.zeta);
        let mut h = Polynomial::new();
        for (set, polynomial) in self.combined().into_iter().enumerate() {
            let divided = points.set(set).iter().fold(polynomial, |p, point| divide_by_root(&p, *point));
            add_scaled(&mut h, &divided, Fr::one());
        }
        self.w = self.setting.commit(&h);
        if !Check::AbsorbPoint("the first opening point").is_on() {
            // nothing stands between v and u
            self.u = self.transcript.clone().challenge("u");
        }
        lie(Step::W, self);
        self.send_point(self.w, "the first opening point");
        self.u = self.transcript.challenge("u");
        let mut l = Polynomial::new();
        for (set, polynomial) in self.combined().into_iter().enumerate() {
            add_scaled(&mut l, &polynomial, points.others_at(set, self.u));
        }
        add_scaled(&mut l, &h, -points.all_at(self.u));
        self.w_prime = self.setting.commit(&divide_by_root(&l, self.u));
        lie(Step::WPrime, self);
        self.send_point(self.w_prime, "the second opening point");
    }

    // ----- commitments

    fn commit(&mut self, oracles: &[Oracle], what: &'static str) {
        for oracle in oracles {
            let count = self.setting.vk.plan.blinding(*oracle);
            let blinding: Vec<Fr> =
                if self.unblinded { Vec::new() } else { (0..count).map(|_| self.random()).collect() };
            let polynomial = blinded(interpolate(K, Fr::one(), &self.rows[oracle]), &blinding);
            self.places.insert(*oracle, self.bytes.len());
            let point = self.instead.get(oracle).copied();
            self.send_point(point.unwrap_or_else(|| self.setting.commit(&polynomial)), what);
            self.coefficients.insert(*oracle, polynomial);
        }
    }

    fn send_point(&mut self, point: G1Affine, what: &'static str) {
        if Check::AbsorbPoint(what).is_on() {
            self.transcript.absorb_point(&point);
        }
        self.bytes.extend(encoding::g1_to_bytes(&point));
    }

    /// Replaces a polynomial, and with it the commitment that was sent already: whoever absorbed that one knows.
    pub fn replace(&mut self, oracle: Oracle, polynomial: Polynomial) {
        self.overwrite(self.places[&oracle], &polynomial);
        self.coefficients.insert(oracle, polynomial);
    }

    /// As [`Prover::replace`], for a piece of the quotient.
    pub fn replace_piece(&mut self, piece: usize, polynomial: Polynomial) {
        self.overwrite(self.pieces_at + encoding::WORD_BYTES * piece, &polynomial);
        self.pieces[piece] = polynomial;
    }

    fn overwrite(&mut self, place: usize, polynomial: &Polynomial) {
        let point = encoding::g1_to_bytes(&self.setting.commit(polynomial));
        self.bytes[place..place + point.len()].copy_from_slice(&point);
    }

    /// Works the evaluations out again, after a polynomial was replaced.
    pub fn evaluate_again(&mut self) {
        let plan = &self.setting.vk.plan;
        let value = |(oracle, rotation): &(Oracle, i32)| {
            evaluate(&self.coefficients[oracle], rotated(plan, self.zeta, *rotation))
        };
        self.sent = plan.queries.iter().map(value).collect();
    }
}

/// The algebra of values on one row.
struct OnRow<'a, 'b> {
    prover: &'a Prover<'b>,
    row: usize,
}

/// The algebra of values at one point.
struct AtPoint<'a, 'b> {
    prover: &'a Prover<'b>,
    point: Fr,
}

macro_rules! algebra_of_scalars {
    ($name:ident, |$self:ident, $oracle:ident, $rotation:ident| $query:expr) => {
        impl Algebra for $name<'_, '_> {
            type Value = Fr;
            fn constant(&mut self, c: Fr) -> Fr {
                c
            }
            fn query(&mut $self, $oracle: Oracle, $rotation: i32) -> Fr {
                $query
            }
            fn add(&mut self, a: &Fr, b: &Fr) -> Fr {
                *a + b
            }
            fn sub(&mut self, a: &Fr, b: &Fr) -> Fr {
                *a - b
            }
            fn mul(&mut self, a: &Fr, b: &Fr) -> Fr {
                *a * b
            }
        }
    };
}
algebra_of_scalars!(OnRow, |self, oracle, rotation| self.prover.cell(oracle, self.row, rotation));
algebra_of_scalars!(AtPoint, |self, oracle, rotation| {
    let point = rotated(&self.prover.setting.vk.plan, self.point, rotation);
    if oracle == Oracle::Identity { point } else { evaluate(&self.prover.coefficients[&oracle], point) }
});
