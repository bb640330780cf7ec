//! What can be learned of a server beside the load: its version, whether it runs on this machine,
//! the CPU time of its process.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use mayfly::client::{Client, ClientError, Reply};

/// How long a server may take to answer a question.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The unit of `/proc/PID/stat` times: USER_HZ, which is 100 on every Linux architecture of today.
const CLOCK_TICK: Duration = Duration::from_millis(10);

/// Who the questions are asked as.
#[derive(Clone, Debug, Default)]
pub struct Login {
    pub user: Option<String>,
    pub password: Option<String>,
    pub database: u32,
}

#[derive(Clone, Debug)]
pub struct Server {
    pub address: SocketAddr,
    /// As in `redis 7.0.15`.
    pub version: String,
    /// `None` when it runs elsewhere, or does not say.
    pub pid: Option<u32>,
    /// `save` and `appendonly`, as redis-benchmark prints them.
    pub persistence: Option<[String; 2]>,
}

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("Could not connect to Redis at {address}: {source}")]
    Connect { address: SocketAddr, source: ClientError },
    #[error("{address} refuses {command}: {text}")]
    Refused { address: SocketAddr, command: &'static str, text: String },
}

impl Login {
    /// The words that a connection begins with, but for HELLO.
    pub fn commands(&self) -> Vec<Vec<String>> {
        let mut commands = Vec::new();
        if let Some(password) = &self.password {
            let words = ["AUTH"].into_iter().chain(self.user.as_deref()).chain([&password[..]]);
            commands.push(words.map(str::to_owned).collect());
        }
        if self.database != 0 {
            commands.push(vec!["SELECT".to_owned(), self.database.to_string()]);
        }
        commands
    }
}

/// A connection that has logged in.
fn log_in(address: SocketAddr, login: &Login) -> Result<Client, ServerError> {
    let failed = |source| ServerError::Connect { address, source };
    let mut client = Client::connect(address, TIMEOUT).map_err(failed)?;
    for words in login.commands() {
        let command = if words[0] == "AUTH" { "AUTH" } else { "SELECT" };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if let Reply::Error(text) = client.call(&words).map_err(failed)? {
            return Err(ServerError::Refused { address, command, text });
        }
    }
    Ok(client)
}

/// Whether the server says that it has a command.
pub fn has_command(address: SocketAddr, login: &Login, name: &str) -> Result<bool, ServerError> {
    let told = log_in(address, login)?.call(&["COMMAND", "INFO", name]);
    let told = told.map_err(|source| ServerError::Connect { address, source })?;
    Ok(matches!(told, Reply::Array(found) if matches!(found[..], [Reply::Array(_)])))
}

/// Logs in and asks who it is.
pub fn ask(address: SocketAddr, login: &Login) -> Result<Server, ServerError> {
    let failed = |source| ServerError::Connect { address, source };
    let mut client = log_in(address, login)?;
    if let Reply::Error(text) = client.call(&["PING"]).map_err(failed)?
        && ["NOAUTH", "WRONGPASS", "NOPERM"].iter().any(|code| text.starts_with(code))
    {
        return Err(ServerError::Refused { address, command: "PING", text });
    }
    // What a server does not tell of itself is left out of the report.
    let info = match client.call(&["INFO", "server"]) {
        Ok(Reply::Bulk(text)) => String::from_utf8_lossy(&text).into_owned(),
        _ => String::new(),
    };
    let mut setting = |name| match client.call(&["CONFIG", "GET", name]) {
        Ok(Reply::Array(pair)) => match &pair[..] {
            [_, Reply::Bulk(value)] => Some(String::from_utf8_lossy(value).into_owned()),
            _ => None,
        },
        _ => None,
    };
    let persistence = setting("save").and_then(|save| Some([save, setting("appendonly")?]));
    let pid = info_field(&info, "process_id").and_then(|pid| pid.parse().ok());
    let pid = pid.filter(|_| is_local(address));
    Ok(Server { address, version: version(&info), pid, persistence })
}

/// The value of a field of INFO's text.
pub fn info_field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn version(info: &str) -> String {
    for name in ["mayfly", "valkey", "dragonfly", "redis"] {
        if let Some(version) = info_field(info, &format!("{name}_version")) {
            return format!("{name} {version}");
        }
    }
    "of unknown version".to_owned()
}

/// A connection to an address of this machine has that address at both ends.
fn is_local(address: SocketAddr) -> bool {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT);
    let own = stream.and_then(|stream| stream.local_addr());
    own.is_ok_and(|own| own.ip() == address.ip())
}

/// User and system time of all threads of a process. `None` when it is gone.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(process_file(pid, "stat")).ok()?;
    // The name, in brackets, may itself hold spaces and brackets. After it comes field 3; utime and
    // stime are fields 14 and 15 (proc_pid_stat(5)).
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let ticks: u32 = fields.next()?.parse::<u32>().ok()? + fields.next()?.parse::<u32>().ok()?;
    Some(CLOCK_TICK * ticks)
}

/// The CPUs that a process may run on.
pub fn allowed_cpus(pid: u32) -> Option<Vec<usize>> {
    let status = fs::read_to_string(process_file(pid, "status")).ok()?;
    parse_cpus(info_field(&status, "Cpus_allowed_list")?)
}

fn process_file(pid: u32, name: &str) -> PathBuf {
    PathBuf::from("/proc").join(pid.to_string()).join(name)
}

/// A list as the kernel prints it: `0-3,8`.
fn parse_cpus(list: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cpus.extend(first.parse().ok()?..=last.parse::<usize>().ok()?);
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_of_a_process() {
        let own = std::process::id();
        assert!(cpu_time(own).is_some());
        assert!(!allowed_cpus(own).unwrap().is_empty());
        // Above the largest process id that Linux gives (PID_MAX_LIMIT, 2^22).
        assert_eq!(cpu_time(1 << 23), None);
        assert_eq!(parse_cpus("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(parse_cpus("x"), None);
    }

    #[test]
    fn a_server_is_named_by_its_own_field() {
        let info = "# Server\r\nredis_version:7.2.4\r\nmayfly_version:0.1.0\r\nprocess_id:12\r\n";
        assert_eq!(version(info), "mayfly 0.1.0");
        assert_eq!(version("redis_version:7.0.15\r\n"), "redis 7.0.15");
        assert_eq!(version(""), "of unknown version");
        assert_eq!(info_field(info, "process_id"), Some("12"));
    }

    #[test]
    fn a_login_is_what_it_needs() {
        let login = |user: Option<&str>, password: Option<&str>, database| {
            let [user, password] = [user, password].map(|text| text.map(str::to_owned));
            let commands = Login { user, password, database }.commands();
            commands.iter().map(|words| words.join(" ")).collect::<Vec<_>>()
        };
        assert!(login(None, None, 0).is_empty());
        assert_eq!(login(Some("u"), Some("p"), 3), ["AUTH u p", "SELECT 3"]);
        assert_eq!(login(None, Some("p"), 0), ["AUTH p"]);
    }
}
