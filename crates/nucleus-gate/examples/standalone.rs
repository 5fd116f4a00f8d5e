//! Runs the gate by itself, with a ledger in memory, for trials by hand:
//! `standalone <listen port> <upstream> <dollars> [key file]`. What it decides is printed as it happens.

use std::sync::{Arc, Mutex, PoisonError};

use nucleus_gate::{
    Admission, Denial, GateConfig, Ledger, ModelCall, ModelGate, Note, Origin, PriceTable, Refusal,
    Remaining, Roots, Secret, Ticket, Usage,
};

struct Memory(Arc<Mutex<Remaining>>);

struct Reserved {
    budget: Arc<Mutex<Remaining>>,
    cost: u64,
}

impl Ledger for Memory {
    fn admit(&self, call: &ModelCall) -> Result<Admission, Denial> {
        let mut remaining = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reservation = call.clamp(&remaining)?;
        remaining.cost_micro_usd -= reservation.cost_micro_usd;
        eprintln!("admit {} for {reservation:?}", call.model);
        Ok(Admission {
            max_output_tokens: reservation.max_output_tokens,
            ticket: Box::new(Reserved {
                budget: Arc::clone(&self.0),
                cost: reservation.cost_micro_usd,
            }),
        })
    }

    fn refused(&self, refusal: &Refusal, request: &str) {
        eprintln!("refused {request}: {} ({refusal})", refusal.code());
    }

    fn noted(&self, note: &Note) {
        eprintln!("note {note:?}");
    }
}

impl Ticket for Reserved {
    fn settle(self: Box<Self>, usage: Usage) {
        let mut remaining = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        remaining.cost_micro_usd += self.cost.saturating_sub(usage.cost_micro_usd);
        eprintln!("settle {usage:?}");
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next =
        || arguments.next().ok_or("usage: standalone <port> <upstream> <dollars> [key file]");
    let (port, upstream, dollars) = (next()?.parse::<u16>()?, next()?, next()?.parse::<u64>()?);
    let key = match next() {
        Ok(path) => Some(Secret::from_bytes(std::fs::read(path)?)?),
        Err(_) => None,
    };
    let origin = Origin::parse(&upstream)?;
    let roots = if origin.is_tls() { Roots::load(None)? } else { Roots::none() };
    let budget = Remaining {
        cost_micro_usd: dollars * 1_000_000,
        input_tokens: u64::MAX,
        output_tokens: u64::MAX,
    };
    let ledger = Arc::new(Memory(Arc::new(Mutex::new(budget))));
    let config = GateConfig::new(origin, key, PriceTable::builtin()?, roots);
    let gate = ModelGate::new(config, ledger)?;
    let listener = std::net::TcpListener::bind(("127.0.0.1", port))?;
    gate.serve(listener, std::future::pending()).await?;
    Ok(())
}
