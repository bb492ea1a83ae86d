//! The statements of a verifier, in the order of the protocol's rounds.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ark_bn254::{Fr, G1Affine};
use ark_ff::{BigInteger, Field, One, PrimeField, Zero};
use kiln_verify::VerifyingKey;
use kiln_verify::internals::constraints::Oracle;
use kiln_verify::internals::domain::root_of_unity;
use kiln_verify::internals::plan::index;
use kiln_verify::internals::proof::DOMAIN;
use kiln_verify::internals::transcript::keccak256;

use crate::challenges::{ChallengeNodes, StandIns, monomials};
use crate::code::Code;
use crate::contract::Groups;
use crate::error::SolidityError;
use crate::graph::{Graph, Node};
use crate::instance::Column;
use crate::layout::{Calldata, POINT, SCRATCH_END, SUM, WORD};
use crate::linearisation::{Linearisation, Values};
use crate::number::{coordinates, decimal_or_hex, g2_words, hex, word};

/// How many conditions one statement joins.
const CONDITIONS_MAX: usize = 16;

/// Writes the verifier of a key.
pub(crate) struct Verifier<'a> {
    vk: &'a VerifyingKey,
    groups: &'a Groups,
    calldata: &'a Calldata,
    graph: Graph,
    code: Code,
    /// First free word of memory.
    memory: usize,
    /// Where the transcript's state lies; what is absorbed follows.
    transcript: usize,
    /// Where the next absorbed word goes.
    absorbed: usize,
}

/// A point of the sum that the pairing checks.
#[derive(Clone, Copy)]
enum Source {
    Word(usize),
    Known(G1Affine),
}

impl<'a> Verifier<'a> {
    /// The statements of the whole verifier.
    pub fn write(
        vk: &'a VerifyingKey,
        groups: &'a Groups,
        calldata: &'a Calldata,
    ) -> Result<Vec<String>, SolidityError> {
        let transcript = SCRATCH_END;
        let memory = transcript + transcript_bytes(vk, calldata);
        let (graph, code) = (Graph::default(), Code::default());
        let absorbed = transcript + WORD;
        let mut verifier = Self { vk, groups, calldata, graph, code, memory, transcript, absorbed };
        verifier.check_words();
        let draws = verifier.rounds();
        verifier.verdict(&draws)?;
        Ok(verifier.code.render(&verifier.graph, verifier.memory))
    }

    /// A word of memory that a statement will fill.
    fn reserve(&mut self) -> usize {
        self.memory += WORD;
        self.memory - WORD
    }

    // ---- what is refused before anything is computed ----------------------------------------------------------

    /// Length, scalars below r, no point at infinity; points that no sum contains are on the curve.
    fn check_words(&mut self) {
        let calldata = self.calldata;
        self.code.line(format!("if iszero(eq(calldatasize(), {})) {{ refuse() }}", calldata.end));
        let scalars = |first: usize, count: usize| (0..count).map(move |i| first + i * WORD);
        let inputs = scalars(calldata.public_inputs, self.vk.circuit().public_inputs as usize);
        let evaluations = scalars(calldata.evaluations, self.vk.plan().queries.len());
        let below = inputs.chain(evaluations).map(|offset| format!("lt(calldataload({}), r)", hex(offset)));
        // No point of the curve has a zero for its first coordinate: 3 is no square.
        let finite = calldata.proof_points().map(|offset| format!("gt(calldataload({}), 0)", hex(offset)));
        let conditions: Vec<_> = below.chain(finite).collect();
        for some in conditions.chunks(CONDITIONS_MAX) {
            let joined = some.iter().rev().fold(String::new(), |inner, condition| {
                if inner.is_empty() { condition.clone() } else { format!("and({condition}, {inner})") }
            });
            self.code.line(format!("if iszero({joined}) {{ refuse() }}"));
        }
        let summed = self.summed();
        let committed = calldata.committed(self.vk);
        let committed = committed.iter().map(|(column, offset)| (Oracle::Committed(*column), *offset));
        for (oracle, offset) in calldata.points.iter().copied().chain(committed) {
            if !summed.contains(&oracle) {
                self.code.line(format!("checkPoint({})", hex(offset)));
            }
        }
    }

    /// Polynomials whose commitments are multiplied, and thereby checked by the precompile.
    fn summed(&self) -> BTreeSet<Oracle> {
        let plan = self.vk.plan();
        plan.linear.iter().chain(plan.point_sets.iter().flat_map(|set| &set.oracles)).copied().collect()
    }

    // ---- rounds: the transcript -------------------------------------------------------------------------------

    fn absorb(&mut self, value: &str) {
        self.code.line(format!("mstore({}, {value})", hex(self.absorbed)));
        self.absorbed += WORD;
    }

    fn absorb_calldata(&mut self, offset: usize, bytes: usize) {
        if bytes > 0 {
            self.code.line(format!("calldatacopy({}, {}, {bytes})", hex(self.absorbed), hex(offset)));
        }
        self.absorbed += bytes;
    }

    /// Draws a challenge into memory.
    fn draw(&mut self, label: &str) -> Node {
        let address = self.reserve();
        let label = word(&keccak256(label.as_bytes()));
        self.code.line(format!("mstore({}, draw({}, {label}))", hex(address), hex(self.absorbed)));
        self.absorbed = self.transcript + WORD;
        self.graph.memory(address)
    }

    fn absorb_statement(&mut self) {
        let circuit = self.vk.circuit();
        self.code.line(format!("mstore({}, {})", hex(self.transcript), word(&keccak256(DOMAIN.as_bytes()))));
        self.absorb(&word(&self.vk.digest()));
        self.absorb(&circuit.public_inputs.to_string());
        self.absorb_calldata(self.calldata.public_inputs, circuit.public_inputs as usize * WORD);
        self.absorb(&circuit.committed.len().to_string());
        for (i, group) in circuit.committed.iter().enumerate() {
            self.absorb(&word(&keccak256(group.name.as_bytes())));
            self.absorb(&group.columns.to_string());
            if let Some(fixed) = self.groups.fixed(i) {
                for point in &fixed.commitments {
                    coordinates(point).iter().for_each(|coordinate| self.absorb(coordinate));
                }
            } else if let Some((_, offset, columns)) = self.calldata.groups.iter().find(|g| g.0 == i) {
                self.absorb_calldata(*offset, columns * POINT);
            }
        }
    }

    fn rounds(&mut self) -> Draws {
        let (circuit, plan, calldata) = (self.vk.circuit(), self.vk.plan(), self.calldata);
        self.absorb_statement();
        let mut next = calldata.proof;
        let mut challenges = Vec::new();
        for (phase, columns) in plan.phases.iter().enumerate() {
            self.absorb_calldata(next, columns.len() * POINT);
            next += columns.len() * POINT;
            for name in circuit.challenges.get(phase).into_iter().flatten() {
                challenges.push(self.draw(name));
            }
        }
        self.absorb_calldata(next, plan.segments.len() * POINT);
        next += plan.segments.len() * POINT;
        let arguments = ["theta", "gamma", "beta", "delta"].map(|label| self.draw(label));
        let helpers = plan.helpers.len() + usize::from(plan.has_running_sum());
        self.absorb_calldata(next, helpers * POINT);
        next += helpers * POINT;
        let alpha = self.draw("alpha");
        self.absorb_calldata(next, plan.pieces * POINT);
        let zeta = self.draw("zeta");
        self.absorb_calldata(calldata.evaluations, plan.queries.len() * WORD);
        let v = self.draw("v");
        self.absorb_calldata(calldata.opening[0], POINT);
        let u = self.draw("u");
        let circuit = ChallengeNodes { circuit: challenges, inverses: HashMap::new(), arguments };
        Draws { circuit, alpha, zeta, v, u }
    }

    // ---- what the rounds claim --------------------------------------------------------------------------------

    fn verdict(&mut self, draws: &Draws) -> Result<(), SolidityError> {
        let plan = self.vk.plan();
        let zeta_n = self.graph.power(draws.zeta, plan.rows() as u64);
        self.code.with("if eq({}, 1) { refuse() }", &[zeta_n]);
        let known = self.known_values(draws, zeta_n);
        let stand_ins = StandIns::new(self.vk, &mut self.graph, &known.challenges);
        let linearisation =
            Linearisation::new(self.vk, &mut self.graph, &stand_ins, &known.values, draws.alpha)?;
        self.opening(draws, zeta_n, &known, &linearisation);
        Ok(())
    }

    /// Inverses and the values of all polynomials that are not linear.
    fn known_values(&mut self, draws: &Draws, zeta_n: Node) -> Known {
        let (circuit, plan) = (self.vk.circuit(), self.vk.plan());
        let columns: Vec<_> = plan
            .instance_queries
            .iter()
            .map(|&(column, rotation)| Column::new(circuit, column, rotation))
            .collect();
        let written = monomials(circuit).into_iter().flat_map(|monomial| &monomial.0);
        let written = written.filter(|(_, exponent)| *exponent < 0).map(|(challenge, _)| challenge.0);
        let inverted: BTreeSet<u32> = columns.iter().flat_map(Column::inverted).chain(written).collect();
        let inverted: Vec<u32> = inverted.into_iter().collect();
        let mut challenges = draws.circuit.clone();
        let bases: Vec<_> =
            inverted.iter().map(|challenge| challenges.circuit[*challenge as usize]).collect();
        let early = columns.iter().any(Column::needs_inverses_first);
        if early {
            let inverses = self.invert(&bases);
            challenges.inverses = inverted.iter().copied().zip(inverses).collect();
        }
        let fractions = self.fractions(&columns, &challenges, draws.zeta);
        let mut inverted_now = vec![draws.zeta];
        inverted_now.extend(fractions.iter().map(|fraction| fraction.1));
        if !early {
            inverted_now.extend(&bases);
        }
        let mut inverses = self.invert(&inverted_now).into_iter();
        let zeta_inverse = inverses.next().unwrap_or(draws.zeta);
        let denominators: Vec<_> = inverses.by_ref().take(fractions.len()).collect();
        if !early {
            challenges.inverses = inverted.into_iter().zip(inverses).collect();
        }
        let mut values = self.sent_values(draws);
        let one = self.graph.one();
        let vanishing = self.graph.sub(zeta_n, one);
        let per_row = Fr::from(plan.rows() as u64).inverse().unwrap_or_default();
        let per_row = self.graph.constant(per_row);
        let scale = self.graph.mul(vanishing, per_row);
        for ((column, (numerator, _)), inverse) in columns.iter().zip(fractions).zip(denominators) {
            let value = self.graph.mul(numerator, inverse);
            let lowering = challenges.monomial(&mut self.graph, &column.lowering());
            let value = self.graph.mul(value, lowering);
            let value = self.graph.mul(value, scale);
            values.insert((Oracle::Instance(column.column), column.rotation), value);
        }
        Known { challenges, values, zeta_inverse }
    }

    /// The evaluations in the proof, and X at ζ.
    fn sent_values(&mut self, draws: &Draws) -> Values {
        let mut values = Values::from([((Oracle::Identity, 0), draws.zeta)]);
        for (i, query) in self.vk.plan().queries.iter().enumerate() {
            values.insert(*query, self.graph.word(self.calldata.evaluations + i * WORD));
        }
        values
    }

    /// Adds up the fractions of each instance column: numerators and denominators.
    fn fractions(
        &mut self,
        columns: &[Column],
        challenges: &ChallengeNodes,
        zeta: Node,
    ) -> Vec<(Node, Node)> {
        let omega = root_of_unity(self.vk.circuit().k);
        let mut fractions = Vec::new();
        for column in columns {
            let (numerator, denominator) = (self.reserve(), self.reserve());
            let loops = column.loops(&mut self.graph, challenges, self.calldata, omega);
            self.code.line(format!("mstore({}, 0) mstore({}, 1)", hex(numerator), hex(denominator)));
            for part in loops {
                let text = format!(
                    "addFractions({}, {{}}, {}, {{}}, {{}}, {{}}, {})",
                    hex(numerator),
                    decimal_or_hex(&part.name),
                    part.len
                );
                let name_step = self.graph.constant(part.name_step);
                self.code.with(&text, &[zeta, name_step, part.value, part.ratio]);
            }
            fractions.push((self.graph.memory(numerator), self.graph.memory(denominator)));
        }
        fractions
    }

    /// Inverses of values that are not zero, with one exponentiation.
    fn invert(&mut self, values: &[Node]) -> Vec<Node> {
        let mut prefixes = Vec::new();
        let mut product = self.graph.one();
        for value in values {
            prefixes.push(product);
            product = self.graph.mul(product, *value);
        }
        if values.is_empty() {
            return Vec::new();
        }
        let address = self.reserve();
        self.code.with(&format!("mstore({}, inverse({{}}))", hex(address)), &[product]);
        let mut rest = self.graph.memory(address);
        let mut inverses = vec![rest; values.len()];
        for (i, value) in values.iter().enumerate().rev() {
            inverses[i] = self.graph.mul(rest, prefixes[i]);
            rest = self.graph.mul(rest, *value);
        }
        inverses
    }

    // ---- the opening ------------------------------------------------------------------------------------------

    fn source(&self, oracle: Oracle) -> Source {
        let point = |points: &[G1Affine], i: u32| points.get(i as usize).copied().unwrap_or_default();
        match oracle {
            Oracle::Fixed(i) => Source::Known(point(self.vk.fixed(), i)),
            Oracle::Sigma(i) => Source::Known(point(self.vk.sigma(), i)),
            Oracle::Committed(i) => match self.calldata.committed(self.vk).get(&i) {
                Some(offset) => Source::Word(*offset),
                None => Source::Known(self.groups.commitment(self.vk, i)),
            },
            other => {
                let offset = self.calldata.points.iter().find(|point| point.0 == other);
                offset.map_or(Source::Known(G1Affine::default()), |point| Source::Word(point.1))
            }
        }
    }

    /// Adds `factor·point` to the sum; the factor is an expression.
    fn term(&mut self, source: Source, factor: &str, values: &[Node]) {
        match source {
            Source::Word(offset) => self.code.line(format!("calldatacopy(0, {}, 0x40)", hex(offset))),
            Source::Known(point) => {
                let [x, y] = coordinates(&point);
                self.code.line(format!("mstore(0, {x}) mstore(0x20, {y})"));
            }
        }
        self.code.with(&format!("mstore(0x40, {factor}) addTerm()"), values);
    }

    fn opening(&mut self, draws: &Draws, zeta_n: Node, known: &Known, linearisation: &Linearisation) {
        let points = Points::new(self, draws);
        self.code.line(format!("mstore({}, 0) mstore({}, 0)", hex(SUM), hex(SUM + WORD)));
        self.code.line("let c := 0");
        let weight = points.others(self, draws.u, 0);
        let mut folded = BTreeMap::new();
        for (oracle, factor) in &linearisation.terms {
            folded.insert(*oracle, self.graph.mul(weight, *factor));
        }
        let mut constant = self.graph.mul(weight, linearisation.constant);
        let mut first_power = draws.v;
        for (set, content) in self.vk.plan().point_sets.iter().enumerate() {
            let weight = points.others(self, draws.u, set);
            let first = self.graph.mul(weight, first_power);
            let claimed = points.claimed(self, draws, known, set);
            let claimed = self.graph.mul(first, claimed);
            constant = self.graph.sub(constant, claimed);
            for (i, oracle) in content.oracles.iter().enumerate() {
                match i {
                    0 => self.code.with("c := {}", &[first]),
                    _ => self.code.with("c := mulmod(c, {}, r)", &[draws.v]),
                }
                let source = self.source(*oracle);
                match folded.remove(oracle) {
                    None => self.term(source, "c", &[]),
                    Some(factor) => self.term(source, "addmod(c, {}, r)", &[factor]),
                }
            }
            let count = content.oracles.len() as u64;
            let powers = self.graph.power(draws.v, count);
            first_power = self.graph.mul(first_power, powers);
        }
        for (oracle, factor) in folded {
            let source = self.source(oracle);
            self.term(source, "{}", &[factor]);
        }
        self.pieces(zeta_n, weight);
        self.finish(draws, &points, constant);
    }

    /// `−weight·(ζ^n − 1)·Σ ζ^{n·i}·[t_i]`
    fn pieces(&mut self, zeta_n: Node, weight: Node) {
        let one = self.graph.one();
        let vanishing = self.graph.sub(one, zeta_n);
        let first = self.graph.mul(weight, vanishing);
        for (i, offset) in self.calldata.pieces.clone().into_iter().enumerate() {
            match i {
                0 => self.code.with("c := {}", &[first]),
                _ => self.code.with("c := mulmod(c, {}, r)", &[zeta_n]),
            }
            self.term(Source::Word(offset), "c", &[]);
        }
    }

    /// The opening points and the pairing.
    fn finish(&mut self, draws: &Draws, points: &Points, constant: Node) {
        let [w, w_prime] = self.calldata.opening;
        let all = points.product(self, draws.u, |_| true);
        let all = self.graph.negate(all);
        let srs = self.vk.srs();
        self.term(Source::Known(srs.g1), "{}", &[constant]);
        self.term(Source::Word(w), "{}", &[all]);
        self.term(Source::Word(w_prime), "{}", &[draws.u]);
        let q = word(&ark_bn254::Fq::MODULUS.to_bytes_be());
        let negative = format!("sub({q}, calldataload({}))", hex(w_prime + WORD));
        let sum = [SUM, SUM + WORD].map(|address| format!("mload({})", hex(address)));
        let left = sum.into_iter().chain(g2_words(&srs.g2));
        let right = [format!("calldataload({})", hex(w_prime)), negative].into_iter();
        let words: Vec<_> = left.chain(right).chain(g2_words(&srs.tau_g2)).collect();
        let base = self.transcript;
        for (i, value) in words.iter().enumerate() {
            self.code.line(format!("mstore({}, {value})", hex(base + i * WORD)));
        }
        self.code.line(format!("pairing({})", hex(base)));
    }
}

/// Challenges as they were drawn.
struct Draws {
    circuit: ChallengeNodes,
    alpha: Node,
    zeta: Node,
    v: Node,
    u: Node,
}

/// What does not depend on constraints.
struct Known {
    challenges: ChallengeNodes,
    values: Values,
    zeta_inverse: Node,
}

/// The points of the opening: ω^rotation·ζ.
struct Points {
    /// All points that occur, by rotation.
    all: BTreeMap<i32, Node>,
}

impl Points {
    fn new(verifier: &mut Verifier<'_>, draws: &Draws) -> Self {
        let plan = verifier.vk.plan();
        let rotations: BTreeSet<i32> =
            plan.point_sets.iter().flat_map(|set| set.rotations.iter().copied()).collect();
        let all = rotations.into_iter().map(|rotation| {
            let shift = verifier.graph.constant(shift(plan.k, rotation));
            (rotation, verifier.graph.mul(draws.zeta, shift))
        });
        Self { all: all.collect() }
    }

    /// `Π (u − point)` over some points.
    fn product(&self, verifier: &mut Verifier<'_>, u: Node, which: impl Fn(i32) -> bool) -> Node {
        let mut product = verifier.graph.one();
        for (_, point) in self.all.iter().filter(|(rotation, _)| which(**rotation)) {
            let difference = verifier.graph.sub(u, *point);
            product = verifier.graph.mul(product, difference);
        }
        product
    }

    /// `Z_{T∖S}(u)`
    fn others(&self, verifier: &mut Verifier<'_>, u: Node, set: usize) -> Node {
        let mine = &verifier.vk.plan().point_sets[set].rotations;
        self.product(verifier, u, |rotation| !mine.contains(&rotation))
    }

    /// `Σ_j v^j·Σ_i L_i(u)·value_{j,i}` of a set, with the powers of v counted from its first polynomial.
    fn claimed(&self, verifier: &mut Verifier<'_>, draws: &Draws, known: &Known, set: usize) -> Node {
        let content = &verifier.vk.plan().point_sets[set];
        let mut total = verifier.graph.zero();
        for &rotation in &content.rotations {
            let mut sum = verifier.graph.zero();
            for oracle in content.oracles.iter().rev() {
                // Plans list what they query.
                let value = known.values.get(&(*oracle, rotation)).copied();
                let value = value.unwrap_or_else(|| verifier.graph.zero());
                sum = verifier.graph.mul(sum, draws.v);
                sum = verifier.graph.add(sum, value);
            }
            let basis = self.basis(verifier, draws.u, known, &content.rotations, rotation);
            let term = verifier.graph.mul(basis, sum);
            total = verifier.graph.add(total, term);
        }
        total
    }

    /// `L_i(u) = Π (u − p_j)/(p_i − p_j)`, where `p_i − p_j = ζ·(ω^i − ω^j)`.
    fn basis(
        &self,
        verifier: &mut Verifier<'_>,
        u: Node,
        known: &Known,
        rotations: &[i32],
        mine: i32,
    ) -> Node {
        let k = verifier.vk.plan().k;
        let top = self.product(verifier, u, |rotation| rotation != mine && rotations.contains(&rotation));
        let others = rotations.iter().filter(|rotation| **rotation != mine);
        let bottom: Fr = others.map(|rotation| shift(k, mine) - shift(k, *rotation)).product();
        let bottom = bottom.inverse().unwrap_or(Fr::zero());
        let bottom = verifier.graph.constant(bottom);
        let zeta = verifier.graph.power(known.zeta_inverse, rotations.len() as u64 - 1);
        let scale = verifier.graph.mul(zeta, bottom);
        verifier.graph.mul(top, scale)
    }
}

/// ω^rotation
fn shift(k: u32, rotation: i32) -> Fr {
    let power = root_of_unity(k).pow([u64::from(rotation.unsigned_abs())]);
    if rotation < 0 { power.inverse().unwrap_or(Fr::one()) } else { power }
}

/// The most that the transcript absorbs between two challenges, its own state and end included; the pairing's input fits.
fn transcript_bytes(vk: &VerifyingKey, calldata: &Calldata) -> usize {
    let circuit = vk.circuit();
    let committed: u32 = circuit.committed.iter().map(|group| group.columns).sum();
    let statement = 3 + circuit.public_inputs as usize + 2 * circuit.committed.len() + 2 * committed as usize;
    let proof = (calldata.end - calldata.proof) / WORD;
    // Phases without challenges run together, so take all of it where that is possible.
    let words = statement + proof;
    index(words) as usize * WORD + 4 * WORD + 12 * WORD
}
