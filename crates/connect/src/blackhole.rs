//! A sink that drops everything.

use fleuve_base::Result;
use fleuve_flow::batch::Batch;
use fleuve_flow::sink::{Guarantee, Lane, Lanes, Sink};

/// A `blackhole` table.
pub(crate) struct Blackhole;

impl Sink for Blackhole {
    fn lanes(&self) -> Lanes {
        Lanes::PerWorker
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn recover(&self, _committed: &[String]) -> Result<()> {
        Ok(())
    }

    fn open(&self, _lane: usize) -> Result<Box<dyn Lane>> {
        Ok(Box::new(Blackhole))
    }

    fn commit(&self, _committed: &[String]) -> Result<()> {
        Ok(())
    }
}

impl Lane for Blackhole {
    fn write(&mut self, _epoch: u64, _batches: Vec<Batch>) -> Result<()> {
        Ok(())
    }

    fn checkpoint(&mut self, _epoch: u64) -> Result<String> {
        Ok(String::new())
    }
}
