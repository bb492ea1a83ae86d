//! Commands of the compute engines, from card memory to card memory or to a result for the host.

use super::datapath::Datapath;
use super::job::{Done, Failure};
use crate::memory::{point_bytes, scalar, scalar_bytes};
use crate::msm::digits::FULL_BITS;
use crate::ntt;
use crate::stats::{Cause, Cost, Cycles};
use crate::vector::{divide, evaluate, invert, place, powers, program, scan};
use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use kiln_abi::io::{Direction, ScalarBound, ScanKind};
use kiln_abi::program::{Bindings, Program};
use kiln_abi::{Element, Status, element_to_bytes};
use kiln_firmware::Part;

/// Longest vector that the simulator takes in one piece, so that no command makes it allocate without bound.
const VECTOR_LENGTH_MAX: u64 = 1 << 26;

impl Datapath {
    pub(super) fn multiply_points(
        &mut self,
        bases: u64,
        scalars: u64,
        length: u64,
        bound: ScalarBound,
        result: u64,
    ) -> Result<Done, Failure> {
        let scalars = self.vector(scalars, length)?;
        let bases = self.memory.points(bases, length)?;
        let bits = match bound {
            ScalarBound::Full => FULL_BITS,
            ScalarBound::Signed { bits } => u32::from(bits),
        };
        let (point, report) = self.msm.run(&bases, &scalars, bits)?;
        Ok(self.to_host(report.cost, result, point_bytes(&point).to_vec()))
    }

    pub(super) fn transform(
        &mut self,
        (source, length): (u64, u64),
        destination: u64,
        log_n: u32,
        direction: Direction,
        shift: &Element,
    ) -> Result<Done, Failure> {
        let direction = match direction {
            Direction::Forward => ntt::Direction::Forward,
            Direction::Inverse => ntt::Direction::Inverse,
        };
        let shift = field_element(shift)?;
        let source = self.vector(source, length)?;
        let (values, cost) = self.ntt.run(&source, log_n, direction, shift)?;
        self.memory.write_elements(destination, &values)?;
        Ok(cost.into())
    }

    pub(super) fn run_program(&mut self, rows: u32) -> Result<Done, Failure> {
        let program = Program::parse(self.staged.part(Part::Program))?;
        let bindings = Bindings::parse(self.staged.part(Part::Bindings), &program, rows)?;
        for (index, constant) in (0u64..).zip(program.constants()) {
            field_element(&constant)
                .map_err(|_| Failure { status: Status::InvalidProgram, result: index })?;
        }
        Ok(program::run(&self.lanes, &mut self.memory, &program, &bindings, rows)?.into())
    }

    pub(super) fn scan(
        &mut self,
        source: u64,
        destination: u64,
        length: u64,
        kind: ScanKind,
    ) -> Result<Done, Failure> {
        let prefixes = scan::exclusive(&self.vector(source, length)?, kind);
        self.memory.write_elements(destination, &prefixes)?;
        Ok(scan::cost(&self.lanes, length, kind).into())
    }

    pub(super) fn invert(&mut self, source: u64, destination: u64, length: u64) -> Result<Done, Failure> {
        let inverses = invert::batch(&self.vector(source, length)?);
        self.memory.write_elements(destination, &inverses)?;
        Ok(invert::cost(&self.lanes, length).into())
    }

    pub(super) fn evaluate(&mut self, source: u64, length: u64, result: u64) -> Result<Done, Failure> {
        let coefficients = self.vector(source, length)?;
        let points = self.block_elements()?;
        let values =
            points.iter().flat_map(|point| scalar_bytes(&evaluate::at(&coefficients, point))).collect();
        let cost = evaluate::cost(&self.lanes, length, points.len() as u64);
        Ok(self.to_host(cost, result, values))
    }

    pub(super) fn divide_linear(
        &mut self,
        source: u64,
        destination: u64,
        length: u64,
        root: &Element,
    ) -> Result<Done, Failure> {
        let root = field_element(root)?;
        let quotient = divide::linear(&self.vector(source, length)?, &root);
        self.memory.write_elements(destination, &quotient)?;
        Ok(divide::cost(&self.lanes, length).into())
    }

    pub(super) fn powers(&mut self, destination: u64, length: u64) -> Result<Done, Failure> {
        check_length(length)?;
        let [first, ratio] = self.block_elements()?[..] else {
            return Err(Failure { status: Status::InvalidField, result: 0 });
        };
        let progression = powers::progression(first, ratio, length as usize);
        self.memory.write_elements(destination, &progression)?;
        Ok(powers::cost(&self.lanes, length).into())
    }

    pub(super) fn place(
        &mut self,
        source: u64,
        length: u64,
        destination: u64,
        before: u64,
        total: u64,
    ) -> Result<Done, Failure> {
        check_length(total)?;
        let mut placed = vec![Fr::ZERO; total as usize];
        let (from, to) = (before as usize, (before + length) as usize);
        let part = placed.get_mut(from..to);
        self.memory
            .read_elements(source, part.ok_or(Failure { status: Status::InvalidField, result: total })?)?;
        self.memory.write_elements(destination, &placed)?;
        Ok(place::cost(&self.lanes, length, total).into())
    }

    fn vector(&self, address: u64, length: u64) -> Result<Vec<Fr>, Failure> {
        check_length(length)?;
        Ok(self.memory.elements(address, length)?)
    }

    /// The elements of the staged parameter block.
    fn block_elements(&self) -> Result<Vec<Fr>, Failure> {
        let words = self.staged.part(Part::Block).as_chunks::<32>().0;
        let element = |(index, word): (usize, &[u8; 32])| {
            scalar(word).ok_or(Failure { status: Status::InvalidField, result: 32 * index as u64 })
        };
        words.iter().enumerate().map(element).collect()
    }

    /// Adds the write of a result to host memory.
    fn to_host(&self, cost: Cost, address: u64, bytes: Vec<u8>) -> Done {
        let sent = self.link.write_cycles(bytes.len() as u64, self.clock);
        let write = Cost {
            cycles: Cycles::stalled(Cause::Host, sent),
            host_bytes: bytes.len() as u64,
            ..Cost::default()
        };
        Done { cost: cost.then(write), writes: vec![(address, bytes)] }
    }
}

fn check_length(length: u64) -> Result<(), Failure> {
    if length > VECTOR_LENGTH_MAX {
        Err(Failure { status: Status::Unsupported, result: length })
    } else {
        Ok(())
    }
}

fn field_element(limbs: &Element) -> Result<Fr, Failure> {
    scalar(&element_to_bytes(limbs)).ok_or(Failure { status: Status::InvalidField, result: limbs[3] })
}
