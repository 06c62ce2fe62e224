//! Servers of one test's own: Redis with a replica and Sentinels, a Cluster of Redis, PgBouncer. Each is a child that ends
//! with its handle, and when this process dies.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use redis::{FromRedisValue, aio::MultiplexedConnection};
use secrecy::ExposeSecret;
use tempfile::TempDir;
use url::Url;
use usher::config::Raw;

const PATIENCE: Duration = Duration::from_secs(40);

/// Asks until the answer is yes.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let asked = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("never came true: {what}"));
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

struct Process(Child);

impl Process {
    fn start(program: &str, arguments: &[&str], folder: &Path, user: Option<&str>) -> Self {
        let mut command = Command::new("setpriv");
        if let Some(user) = user {
            command.args([format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".into()]);
        }
        command.args(["--pdeathsig", "KILL", "--", program]).args(arguments).current_dir(folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap_or_else(|error| panic!("cannot start {program}: {error}")))
    }

    fn kill(&mut self) {
        let _ended_already = self.0.kill();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One server of Redis, or one Sentinel.
pub struct Redis {
    pub port: u16,
    process: Process,
}

impl Redis {
    async fn start(folder: &Path, arguments: &[&str]) -> Self {
        let port = free_port();
        let text = port.to_string();
        let mut all = vec!["--bind", "127.0.0.1", "--port", &text, "--save", "", "--appendonly", "no"];
        all.extend(["--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0"]);
        all.extend(arguments);
        let redis = Self { port, process: Process::start("redis-server", &all, folder, None) };
        redis.wait().await;
        redis
    }

    async fn sentinel(folder: &Path, primary: u16) -> Self {
        let port = free_port();
        let file = folder.join(format!("sentinel-{port}.conf"));
        let text = format!(
            "bind 127.0.0.1\nport {port}\nsentinel monitor mymaster 127.0.0.1 {primary} 2\n\
             sentinel down-after-milliseconds mymaster 700\nsentinel failover-timeout mymaster 3000\n"
        );
        fs::write(&file, text).unwrap();
        let arguments = [file.to_str().unwrap(), "--sentinel"];
        let sentinel = Self { port, process: Process::start("redis-server", &arguments, folder, None) };
        sentinel.wait().await;
        sentinel
    }

    async fn wait(&self) {
        until("Redis answers", async || self.connect().await.is_ok()).await;
    }

    async fn connect(&self) -> redis::RedisResult<MultiplexedConnection> {
        redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?.get_multiplexed_async_connection().await
    }

    /// One command; its words are parted by spaces.
    pub async fn ask<T: FromRedisValue>(&self, command: &str) -> T {
        let mut words = command.split(' ');
        let mut call = redis::cmd(words.next().unwrap());
        for word in words {
            call.arg(word);
        }
        call.query_async(&mut self.connect().await.unwrap()).await.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// As by kill -9.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

async fn in_step(primary: &Redis, replica: &Redis) {
    let offset = async |redis: &Redis, name: &str| {
        let info: String = redis.ask("INFO replication").await;
        info.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok()).unwrap_or_default()
    };
    let all = offset(primary, "master_repl_offset:").await;
    until("the replica has everything", async || offset(replica, "slave_repl_offset:").await >= all).await;
}

/// A primary, its replica and three Sentinels.
pub struct Sentinels {
    pub primary: Redis,
    pub replica: Redis,
    sentinels: Vec<Redis>,
    _folder: TempDir,
}

impl Sentinels {
    pub async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let primary = Redis::start(folder.path(), &[]).await;
        let of = format!("127.0.0.1 {}", primary.port);
        let replica = Redis::start(folder.path(), &["--replicaof", &of]).await;
        until("the replica is in step", async || {
            replica.ask::<String>("INFO replication").await.contains("master_link_status:up")
        })
        .await;
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            sentinels.push(Redis::sentinel(folder.path(), primary.port).await);
        }
        for sentinel in &sentinels {
            until("the Sentinels know each other and the replica", async || {
                let known = sentinel.ask::<std::collections::HashMap<String, String>>("SENTINEL MASTER mymaster").await;
                known["num-slaves"] == "1" && known["num-other-sentinels"] == "2"
            })
            .await;
        }
        Self { primary, replica, sentinels, _folder: folder }
    }

    /// What `redis.url` says.
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
        format!("redis+sentinel://{}/mymaster", hosts.join(","))
    }

    /// Until the replica has all that the primary has.
    pub async fn in_step(&self) {
        in_step(&self.primary, &self.replica).await;
    }

    /// From now on the replica hears nothing of the primary; whoever is connected to the primary stays so.
    pub async fn part(&self) {
        self.primary.ask::<String>("CONFIG SET requirepass nobody-knows").await;
        let mut connection = redis::Client::open(format!("redis://:nobody-knows@127.0.0.1:{}", self.primary.port))
            .unwrap()
            .get_multiplexed_async_connection()
            .await
            .unwrap();
        redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("replica").query_async::<i64>(&mut connection).await.unwrap();
    }
}

/// Three nodes of a Cluster, and a replica of one of them.
pub struct Cluster {
    nodes: Vec<Redis>,
    folder: TempDir,
}

impl Cluster {
    async fn node(folder: &TempDir) -> Redis {
        let (bus, file) = (free_port().to_string(), format!("nodes-{}.conf", free_port()));
        let arguments = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-config-file", &file];
        let more = ["--cluster-node-timeout", "1000", "--cluster-require-full-coverage", "no"];
        Redis::start(folder.path(), &[arguments.as_slice(), &more].concat()).await
    }

    pub async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let nodes = vec![Self::node(&folder).await, Self::node(&folder).await, Self::node(&folder).await];
        let mut arguments = vec!["--cluster".to_owned(), "create".into()];
        arguments.extend(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)));
        arguments.extend(["--cluster-replicas".into(), "0".into(), "--cluster-yes".into()]);
        redis_cli(&arguments).await;
        let cluster = Self { nodes, folder };
        cluster.is_whole().await;
        cluster
    }

    /// What `redis.url` says.
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    async fn is_whole(&self) {
        for node in &self.nodes {
            until("every node knows that the Cluster is well", async || {
                node.ask::<String>("CLUSTER INFO").await.contains("cluster_state:ok")
            })
            .await;
        }
    }

    /// Which of the nodes holds the keys of this hash tag.
    async fn holder(&self, tag: &str) -> usize {
        let slot: u16 = self.nodes[0].ask(&format!("CLUSTER KEYSLOT {{{tag}}}")).await;
        let ranges: Vec<Vec<redis::Value>> = self.nodes[0].ask("CLUSTER SLOTS").await;
        let held_by = ranges.iter().find_map(|range| {
            let number = |at: usize| u16::from_redis_value_ref(&range[at]).unwrap();
            let node = Vec::<redis::Value>::from_redis_value_ref(&range[2]).unwrap();
            (number(0)..=number(1)).contains(&slot).then(|| u16::from_redis_value_ref(&node[1]).unwrap())
        });
        self.nodes.iter().position(|node| Some(node.port) == held_by).unwrap()
    }

    /// Gives the holder of a hash tag a replica, which has everything when this returns.
    pub async fn replicate(&mut self, tag: &str) {
        let holder = self.holder(tag).await;
        let id: String = self.nodes[holder].ask("CLUSTER MYID").await;
        let new = Self::node(&self.folder).await;
        let (new_at, at) = (format!("127.0.0.1:{}", new.port), format!("127.0.0.1:{}", self.nodes[holder].port));
        let arguments = ["--cluster", "add-node", &new_at, &at, "--cluster-slave", "--cluster-master-id", &id];
        redis_cli(&arguments.map(str::to_owned)).await;
        until("the new node is in step", async || {
            new.ask::<String>("INFO replication").await.contains("master_link_status:up")
        })
        .await;
        self.nodes.push(new);
        for node in &self.nodes {
            until("every node knows the new one", async || {
                node.ask::<String>("CLUSTER NODES").await.lines().filter(|line| line.contains("connected")).count() == 4
            })
            .await;
        }
    }

    /// Kills the node that holds a hash tag, once its replica has everything.
    pub async fn kill_holder(&mut self, tag: &str) {
        let holder = self.holder(tag).await;
        in_step(&self.nodes[holder], self.nodes.last().unwrap()).await;
        self.nodes[holder].kill();
    }
}

async fn redis_cli(arguments: &[String]) {
    let out = tokio::process::Command::new("redis-cli").args(arguments).output().await.unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "redis-cli {arguments:?}: {text}");
}

/// PgBouncer in transaction mode before the PostgreSQL of the tests, with few servers, so that whoever asks meets what
/// others left there.
pub struct PgBouncer {
    port: u16,
    _process: Process,
    _folder: TempDir,
}

impl PgBouncer {
    pub async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let port = free_port();
        let server = Url::parse(&std::env::var("USHER_TEST_POSTGRES_URL").unwrap()).unwrap();
        let text = format!(
            "[databases]\n* = host={} port={} user={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 500\n",
            server.host_str().unwrap(),
            server.port().unwrap_or(5432),
            server.username(),
        );
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&file, text).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // It refuses to run as root.
        let user = (fs::metadata("/proc/self").unwrap().uid() == 0).then_some("postgres");
        let program = if Path::new("/usr/sbin/pgbouncer").exists() { "/usr/sbin/pgbouncer" } else { "pgbouncer" };
        let process = Process::start(program, &["-q", file.to_str().unwrap()], Path::new("/"), user);
        until("PgBouncer listens", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
        Self { port, _process: process, _folder: folder }
    }

    /// Puts it between a gateway and its database.
    pub fn before(port: u16, raw: &mut Raw) {
        let mut url = Url::parse(raw.database.url.expose_secret()).unwrap();
        raw.database.migrate_url = Some(raw.database.url.clone());
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(port)).unwrap();
        raw.database.url = String::from(url).into();
        raw.database.pooler = "transaction".into();
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}
