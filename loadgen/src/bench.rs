//! `mayfly-loadgen` without a subcommand: one test after another, each reported as it ends.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::cli::{BenchOptions, Files, OptionError, ShellEvent};
use crate::environment::Environment;
use crate::history;
use crate::keys::Distribution;
use crate::load::{Connections, Greeting, Keys, Load, Pace, Redirects, Work};
use crate::outage::MarkKind;
use crate::report::hlog::HistogramLog;
use crate::report::html::{self, Head};
use crate::report::{Outcome, Run, csv, hgrm, json, part_path, text};
use crate::run::{self, Event, Marks, RunError};
use crate::server::{self, Login, ServerError};
use crate::subscribers::{SubscribeError, Subscribers};
use crate::suite::{self, Test, UnknownTest};
use crate::sweep::{Objective, Rates, Search, Trial};
use crate::template::Placeholders;
use crate::verify;
use crate::workloads::{self, MixError, Share, WorkloadFile};

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error(transparent)]
    Option(#[from] OptionError),
    #[error(transparent)]
    Test(#[from] UnknownTest),
    #[error(transparent)]
    Mix(#[from] MixError),
    #[error("the workload does not say what --fill is to write (fill = \"COMMAND\")")]
    NoFill,
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("cannot read standard input: {0}")]
    Stdin(#[source] io::Error),
    #[error("cannot write {path}: {source}")]
    Write { path: String, source: io::Error },
    #[error("the server lost, doubled or did not see what it had acknowledged")]
    Faults,
    #[error("no request succeeded")]
    NoSuccess,
}

/// How much is told while a run goes on, and at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Full,
    Quiet,
    Csv,
}

pub fn run(options: &BenchOptions) -> Result<(), BenchError> {
    if let Some(preset) = options.preset.filter(|_| options.print_workload) {
        print(preset.text.trim_end());
        return Ok(());
    }
    let mut options = options.clone();
    let file = workload_file(&options)?;
    if let Some(file) = &file {
        options.adopt(file);
    }
    let options = &options;
    options.check()?;
    let keys = match options.random.is_some() || file.is_some() {
        true => Placeholders::Patched,
        false => Placeholders::Literal,
    };
    let addresses = options.addresses()?;
    let tests = tests(options, file.as_ref(), keys)?;
    let servers = addresses
        .iter()
        .map(|address| server::ask(*address, &options.login()))
        .collect::<Result<Vec<_>, _>>()?;
    run::listen_for_interrupts()?;
    let environment = Environment::look(servers);
    let form = match (options.csv, options.quiet) {
        (true, _) => Form::Csv,
        (false, true) => Form::Quiet,
        (false, false) => Form::Full,
    };
    let log = Log::open(options.files.hlog.as_deref(), &environment)?;
    if form == Form::Csv {
        print(csv::HEADER);
    }
    if options.fill && !fill(options, file.as_ref(), &addresses)? {
        return Ok(());
    }
    let mut session =
        Session { options, addresses: &addresses, environment: &environment, form, log };
    let mut outcomes = Vec::new();
    for (title, work) in tests {
        session.measure_test(&title, work, &mut outcomes)?;
        if outcomes.last().is_some_and(|outcome| outcome.measured.was_interrupted) {
            break;
        }
    }
    let log = session.log;
    if form == Form::Full {
        print(&text::environment(&environment));
    }
    log.finish()?;
    let lead = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let head = Head { title: "Load report", lead: &lead };
    if let Some(path) = &options.history {
        let finishes =
            outcomes.iter_mut().flat_map(|outcome| &mut outcome.measured.totals.finishes);
        let entries = finishes.flat_map(|finish| std::mem::take(&mut finish.history)).collect();
        write_file(path, |out| history::write(out, entries))?;
    }
    write_files(&options.files, &Run { environment: &environment, outcomes: &outcomes }, &head)?;
    if outcomes.iter().any(|outcome| outcome.verified.is_some_and(|found| found.has_faults())) {
        return Err(BenchError::Faults);
    }
    if outcomes.iter().all(|outcome| outcome.measured.totals.ok == 0) {
        return Err(BenchError::NoSuccess);
    }
    Ok(())
}

/// What all tests of a command line share.
struct Session<'a> {
    options: &'a BenchOptions,
    addresses: &'a [SocketAddr],
    environment: &'a Environment,
    form: Form,
    log: Log,
}

impl Session<'_> {
    /// Measures a test once, or at each of several rates.
    fn measure_test(
        &mut self,
        title: &str,
        work: Work,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), BenchError> {
        let load = load(self.options, self.addresses, work);
        if let Some(Rates(rates)) = &self.options.sweep {
            let from = outcomes.len();
            for rate in rates {
                outcomes.push(self.measure_rate(title, &load, *rate)?);
                if outcomes.last().is_some_and(|outcome| outcome.measured.was_interrupted) {
                    break;
                }
            }
            self.tell_rates(&outcomes[from..]);
        } else if let Some(objective) = &self.options.slo {
            self.search(title, &load, objective, outcomes)?;
        } else {
            outcomes.push(self.measure(title, load)?);
        }
        Ok(())
    }

    /// Looks for the highest rate that keeps the objective.
    fn search(
        &mut self,
        title: &str,
        load: &Load,
        objective: &Objective,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), BenchError> {
        let from = outcomes.len();
        let capacity = self.measure(title, load.clone())?;
        let mut is_over = capacity.measured.was_interrupted;
        let mut search = Search::new(capacity.measured.rate());
        outcomes.push(capacity);
        while let Some(rate) = search.next().filter(|_| !is_over) {
            let outcome = self.measure_rate(title, load, rate)?;
            let totals = &outcome.measured.totals;
            search.record(objective.is_kept(Trial {
                asked: rate,
                achieved: outcome.measured.rate(),
                errors: totals.errors.total(),
                response: &totals.latencies.response,
            }));
            is_over = outcome.measured.was_interrupted;
            outcomes.push(outcome);
        }
        self.tell_rates(&outcomes[from..]);
        if self.form != Form::Csv {
            print(&match search.best() {
                Some(best) => format!("{title}: {objective} is kept up to {best:.0} requests/s"),
                None => format!("{title}: {objective} is kept at no rate"),
            });
        }
        Ok(())
    }

    fn measure_rate(
        &mut self,
        title: &str,
        load: &Load,
        per_second: f64,
    ) -> Result<Outcome, BenchError> {
        let pace = Pace::Rate { per_second, arrival: self.options.arrival };
        self.measure(&format!("{title} at {per_second:.0}/s"), Load { pace, ..load.clone() })
    }

    /// Measures one load and tells what came of it.
    fn measure(&mut self, title: &str, load: Load) -> Result<Outcome, BenchError> {
        let load = Arc::new(load);
        let events = self.options.events.iter().cloned().map(shell_event).collect();
        let telling = if self.form == Form::Full { Telling::Live } else { Telling::Silent };
        let login = self.options.login();
        let log = &mut self.log;
        let outcome = measure(title, load, events, self.environment, log, telling, &login)?;
        match self.form {
            Form::Full => print(&text::Full(&outcome).to_string()),
            Form::Quiet => print(&text::quiet(&outcome)),
            Form::Csv => print(&csv::row(&outcome)),
        }
        if self.form != Form::Full {
            tell_doubts(&outcome);
        }
        Ok(outcome)
    }

    fn tell_rates(&self, outcomes: &[Outcome]) {
        if self.form != Form::Csv {
            print(&text::rates(outcomes));
        }
    }
}

/// The workload file, or that of the preset, if there is to be one.
fn workload_file(options: &BenchOptions) -> Result<Option<WorkloadFile>, BenchError> {
    if let Some(path) = &options.workload_file {
        return Ok(Some(WorkloadFile::read(path)?));
    }
    if let Some(share) = options.hit_rate {
        return Ok(Some(WorkloadFile::cache(share)?));
    }
    let Some(mut preset) = options.preset else { return Ok(None) };
    if let Some((command, without)) = preset.substitute() {
        let address = options.addresses()?[0];
        if !server::has_command(address, &options.login(), command)? {
            eprintln!("the server has no {command}: {} instead of {}", without.name, preset.name);
            preset = without;
        }
    }
    Ok(Some(preset.file()?))
}

/// The tests: what each is called, and what it sends.
fn tests(
    options: &BenchOptions,
    file: Option<&WorkloadFile>,
    keys: Placeholders,
) -> Result<Vec<(String, Work)>, BenchError> {
    if options.verify {
        return Ok(vec![("INCR and GET of a counter per connection".to_owned(), counters())]);
    }
    if options.history.is_some() {
        let work = Work::Registers { prefix: prefix() };
        return Ok(vec![("reads and writes of registers, for a history".to_owned(), work)]);
    }
    let values = values(options);
    if let Some(file) = file {
        return Ok(vec![(file.name.clone(), Work::Mix(file.workload(&values, keys)))]);
    }
    if !options.mix.is_empty() {
        let part = |share: &Share| format!("{}:{}", share.weight, share.command);
        let title = options.mix.iter().map(part).collect::<Vec<_>>().join(" ");
        return Ok(vec![(title, Work::Mix(workloads::workload(&options.mix, &values, keys)))]);
    }
    let mut last = None;
    if options.stdin {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map_err(BenchError::Stdin)?;
        last = Some(bytes);
    }
    // The same tests once for each length of values.
    let variants = values
        .iter()
        .map(|value| match options.command.is_empty() {
            true => suite::select(options.tests.as_deref(), value, keys),
            false => Ok(vec![suite::custom(&options.command, value, last.clone(), keys)]),
        })
        .collect::<Result<Vec<Vec<Test>>, _>>()?;
    let work = |number: usize| {
        let templates = variants.iter().map(|tests| tests[number].template(keys));
        Work::Mix(workloads::of_variants(templates, options.pipeline()))
    };
    Ok(variants[0].iter().enumerate().map(|(n, test)| (test.title.clone(), work(n))).collect())
}

/// One value of each length.
fn values(options: &BenchOptions) -> Vec<Vec<u8>> {
    options.data_bytes().all().into_iter().map(suite::data).collect()
}

/// Writes every key once. Returns whether the user wants the rest.
fn fill(
    options: &BenchOptions,
    file: Option<&WorkloadFile>,
    addresses: &[SocketAddr],
) -> Result<bool, BenchError> {
    let values = values(options);
    let workload = match file {
        Some(file) => file.fill(&values).ok_or(BenchError::NoFill)?,
        None => workloads::fill(&values),
    };
    let mut load = load(options, addresses, Work::Mix(workload));
    load.keys.distribution = Distribution::Sequential;
    load.requests = Some(load.keys.count);
    (load.duration, load.warmup, load.pace) = (None, Duration::ZERO, Pace::AnswerDriven);
    let filled = run::run(&Arc::new(load), Vec::new(), |_| ())?;
    let (ok, errors) = (filled.totals.ok, filled.totals.errors.total());
    eprintln!("filled: {ok} keys in {:.2} s, {errors} errors", filled.seconds());
    Ok(!filled.was_interrupted)
}

/// Counters that no other run has.
pub fn counters() -> Work {
    Work::Counters { prefix: prefix(), reads: 50 }
}

/// Of keys that no other run has.
fn prefix() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("loadgen:{}:{}", std::process::id(), since.as_micros())
}

fn load(options: &BenchOptions, addresses: &[SocketAddr], work: Work) -> Load {
    let mut commands = options.login().commands();
    if options.resp3 {
        // Behind AUTH, as some servers want it, and before SELECT or after it alike.
        commands.push(vec!["HELLO".to_owned(), "3".to_owned()]);
    }
    let encoded = commands.iter().map(|words| suite::encode(words));
    let greeting = Greeting { bytes: encoded.flatten().collect(), replies: commands.len() as u32 };
    let pace = match options.rate {
        Some(per_second) => Pace::Rate { per_second, arrival: options.arrival },
        None => Pace::AnswerDriven,
    };
    Load {
        servers: addresses.to_vec(),
        clients: options.clients(),
        threads: options.threads,
        pipeline: options.pipeline(),
        connections: match options.keep_alive {
            0 => Connections::Renewed,
            _ => Connections::Kept,
        },
        greeting,
        work,
        keys: Keys {
            distribution: options.key_distribution.unwrap_or(Distribution::Uniform),
            count: options.random.unwrap_or(match options.history {
                Some(_) => history::KEYS_DEFAULT,
                None => 1,
            }),
        },
        pace,
        requests: options.requests(),
        duration: options.duration(),
        warmup: options.warmup,
        redirects: match options.follow {
            true => Redirects::Followed,
            false => Redirects::Counted,
        },
        payload: options.data_bytes().to_string(),
        bucket: options.bucket,
        seed: options.seed,
    }
}

/// Whether each second of a run is told as it passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    Live,
    Silent,
}

/// Runs a load and says all there is to say of it.
pub fn measure(
    title: &str,
    load: Arc<Load>,
    events: Vec<Event>,
    environment: &Environment,
    log: &mut Log,
    telling: Telling,
    login: &Login,
) -> Result<Outcome, BenchError> {
    let before = environment.server_time();
    log.begin_test(&load);
    let subscribers = match &load.work {
        Work::Mix(workload) => workload.subscription(),
        Work::Counters { .. } | Work::Registers { .. } => None,
    };
    let subscribers = subscribers
        .map(|found| Subscribers::start(found, &load.servers, &load.greeting, load.warmup))
        .transpose()?;
    let mut measured = run::run(&load, events, |interval| {
        if telling == Telling::Live {
            eprintln!("{}", text::live(interval));
        }
        log.write(title, interval);
    })?;
    let cost = environment.cost(&measured, &before);
    let warnings = environment.warnings(&load, &measured);
    let persistence = environment.servers().first().and_then(|server| server.persistence.clone());
    let deliveries = subscribers.map(Subscribers::finish);
    let verified = matches!(load.work, Work::Counters { .. }).then(|| {
        let finishes = &mut measured.totals.finishes;
        let counters = finishes.iter_mut().flat_map(|finish| std::mem::take(&mut finish.counters));
        verify::settle(&load.servers, login, counters.collect())
    });
    let title = title.to_owned();
    Ok(Outcome { title, load, measured, cost, warnings, persistence, verified, deliveries })
}

fn shell_event(event: ShellEvent) -> Event {
    let act = move |marks: &Marks| {
        marks.add(MarkKind::Fault, event.command.clone());
        match Command::new("sh").args(["-c", &event.command]).status() {
            Ok(status) if status.success() => {}
            Ok(status) => eprintln!("mayfly-loadgen: event '{}': {status}", event.command),
            Err(error) => eprintln!("mayfly-loadgen: event '{}': {error}", event.command),
        }
    };
    Event { at: event.at, act: Box::new(act) }
}

fn tell_doubts(outcome: &Outcome) {
    if let Some(error) = json::first_error(outcome) {
        eprintln!("Error from server: {error}");
    }
    if let Some(deliveries) = &outcome.deliveries {
        eprintln!("{}", text::deliveries(deliveries, outcome.measured.totals.ok));
    }
    if let Some(verified) = &outcome.verified {
        eprintln!("{}", text::verified(verified));
    }
    for warning in &outcome.warnings {
        eprintln!("WARNING: {warning}");
    }
}

/// Prints a text and a line end. A reader that has gone away ends the program as it does others.
pub fn print(text: &str) {
    let mut out = io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        std::process::exit(1);
    }
}

/// The interval log, if there is to be one.
pub struct Log {
    log: Option<HistogramLog<BufWriter<File>>>,
    path: String,
    failure: Option<io::Error>,
}

impl Log {
    pub fn open(path: Option<&Path>, environment: &Environment) -> Result<Self, BenchError> {
        let Some(path) = path else {
            return Ok(Self { log: None, path: String::new(), failure: None });
        };
        let comments: Vec<String> = environment
            .facts
            .iter()
            .map(|(name, value)| format!(" {name}: {}", value.replace('\n', " ")))
            .collect();
        let file = File::create(path).map(BufWriter::new);
        let log = file.and_then(|file| HistogramLog::new(file, &comments)).map_err(failed(path))?;
        Ok(Self { log: Some(log), path: path.display().to_string(), failure: None })
    }

    fn begin_test(&mut self, load: &Load) {
        if let Some(log) = &mut self.log {
            log.begin_test(load.warmup);
        }
    }

    fn write(&mut self, title: &str, interval: &crate::collect::Interval) {
        if let Some(log) = &mut self.log
            && self.failure.is_none()
        {
            self.failure = log.write(title, interval).err();
        }
    }

    pub fn finish(self) -> Result<(), BenchError> {
        let Some(log) = self.log else { return Ok(()) };
        let finished = match self.failure {
            Some(error) => Err(error),
            None => log.finish(),
        };
        finished.map_err(|source| BenchError::Write { path: self.path, source })
    }
}

/// Writes what was asked for beside the terminal.
pub fn write_files(files: &Files, run: &Run<'_>, head: &Head<'_>) -> Result<(), BenchError> {
    if let Some(path) = &files.hgrm {
        for outcome in run.outcomes {
            let path = match run.outcomes {
                [_] => path.clone(),
                _ => part_path(path, &outcome.title),
            };
            let latencies = &outcome.measured.totals.latencies;
            write_file(&path, |out| hgrm::write(out, &latencies.response))?;
            if let Some(service) = &latencies.service {
                write_file(&part_path(&path, "service"), |out| hgrm::write(out, service))?;
            }
        }
    }
    if let Some(path) = &files.json {
        write_file(path, |out| writeln!(out, "{:#}", json::value(run)))?;
    }
    if let Some(path) = &files.html {
        write_file(path, |out| out.write_all(html::page(run, head).as_bytes()))?;
    }
    Ok(())
}

fn write_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), BenchError> {
    let written = File::create(path).map(BufWriter::new).and_then(|mut out| {
        write(&mut out)?;
        out.flush()
    });
    written.map_err(failed(path))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> BenchError {
    move |source| BenchError::Write { path: path.display().to_string(), source }
}
