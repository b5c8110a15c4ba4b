//! Loops over hashes, compiled for the widest vectors that the machine has.
//!
//! A build runs on every machine of its architecture, so the compiler by itself uses the vectors that all of them have: two
//! numbers wide, and without a multiplication. `pulp` compiles a loop for wider ones too, and chooses when it runs.

/// A loop to be compiled for several kinds of vectors: all that it calls has to be inlined.
pub(crate) trait Work {
    /// Runs the loop.
    fn run(self);
}

struct Dispatched<W>(W);

impl<W: Work> pulp::NullaryFnOnce for Dispatched<W> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.0.run();
    }
}

/// Runs a loop with the widest vectors of this machine.
#[inline]
pub(crate) fn on_wide_vectors(work: impl Work) {
    pulp::Arch::new().dispatch(Dispatched(work));
}
