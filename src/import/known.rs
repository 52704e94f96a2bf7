//! What single directives close, and which change neither what is served nor who may have it.
//!
//! A directive that is in no list may be of a module that does either: where it stands is closed.

use super::syntax::Directive;

/// Of pages of folders, several of which are named.
pub(super) const ONE_PAGE: &str = "a folder has one page: the first name is taken over, and a folder with another only has a list here, if it has lists";

/// Why something must not be served; of several, the first here counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    /// Not everyone may have it.
    Access,
    /// What it means is not known here.
    Unknown,
    /// Something else answers it, or what has another path than the client's.
    Elsewhere,
    /// It is run, or answered from elsewhere: what lies there is not what clients get.
    Script,
    /// It is not passed on to a backend.
    Unproxied,
}

impl Why {
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::Access => "closed",
            Self::Unknown => "perhaps closed",
            Self::Elsewhere => "answered otherwise, or by another path,",
            Self::Script => "run by another program, or answered from elsewhere,",
            Self::Unproxied => "kept from the backend",
        }
    }
}

/// Directives of nginx, or their beginnings, that may stand in a server or location and change neither.
const NGINX: &str = "access_log add_ addition_types aio aio_write allow ancient_browser ancient_browser_value auth_basic auth_delay auth_http auth_request_set \
    auth_basic_user_file autoindex break brotli charset chunked_ client_ connection_pool_size dav_ default_type directio error_ etag expires \
    fastcgi_ flv geo geoip grpc_ gunzip gzip hash_ http2 http3 if if_modified_since ignore_invalid_headers index \
    js_import js_path keepalive large_client_ limit_ lingering log_ lua_ init_by_lua map map_hash_ match_ max_headers min_delete_depth create_full_put_path max_ranges memcached_ \
    merge_slashes mirror modern_browser modern_browser_value more_ mp4 msie_ open_file_cache open_log_file_cache output_buffers override_charset perl_modules \
    perl_require port_in_redirect absolute_redirect postpone_output proxy_ quic_ random_index read_ahead real_ip referer_hash_ \
    recursive_error_pages request_pool_size reset_timedout_ resolver rewrite_log root alias satisfy scgi_ secure_link_ \
    send server_name server_names server_tokens set set_real_ip_from source_charset split_clients ssl_ ssl status_zone \
    sub_filter subrequest_ ssi_ slice tcp_ types_hash_ try_files types underscores_in_headers uninitialized_variable_warn userid uwsgi_ \
    valid_referers variables_hash_ vhost_traffic_status_filter user worker_ pid events load_module daemon env master_process pcre_jit thread_pool \
    timer_resolution xclient return rewrite listen location upstream \
    limit_except http server";

/// Those of Apache, in lower case.
const APACHE: &str = "acceptfilter acceptpathinfo accessfilename addalt addcharset adddefaultcharset adddescription addencoding \
    addicon addinputfilter addlanguage addoutputfilter addtype allowencodedslashes allowmethods allowoverride browsermatch \
    asyncrequestworkerfactor balancermember balancergrowth balancerpersist balancerinherit brotli bufferedlogs bufferswap cache charsetdefault contentdigest cookie customlog define defaulticon defaultlanguage \
    defaultruntimedir defaulttype deflate directoryindex directoryslash documentroot enablemmap enablesendfile error expires \
    extendedstatus fallbackresource fileetag filter forcelanguagepriority forcetype globallog gracefulshutdowntimeout group h2 header \
    hostnamelookups hostname http httpprotocoloptions identity imap include indexignore indexoptions indexorderdefault \
    indexstyle keepalive keptbody languagepriority limitinternal limitrequest limitxml listen loadfile loadmodule \
    log logformat logio loglevel lua_package maxclients maxconnections maxkeepalive maxmem maxranges maxrequest \
    maxspare mergeslashes mergetrailers md metadir mime minspare minspareservers minsparethreads \
    modmimeusepathinfo mpm mutex namevirtualhost options passenv pidfile port protocol protocols protocolshonororder \
    proxyadd proxybad proxyerror proxyio proxymaxforwards proxypass proxypreservehost proxyreceive proxyrequests \
    proxyset proxysource proxystatus proxytimeout proxyvia qualifyredirect readmename receivebuffersize registerhttpmethod \
    remoteip removecharset removeencoding removelanguage removetype requestheader requestreadtimeout rewritebase \
    rewritecond rewriteengine rewritelog rewritemap rewriteoptions satisfy scoreboardfile scriptsock scriptlog seerequesttail sendbuffersize \
    serveradmin serveralias serverlimit servername serverroot serversignature servertokens setenv setoutputfilter \
    setinputfilter sslcertificate sslca sslciphersuite sslcompression sslcryptodevice sslengine ssleciphers sslhonor \
    sslinsecure sslocsp sslopenssl ssloptions sslpassphrase sslprotocol sslproxy sslrandom sslsession sslstapling \
    sslstrict sslusestapling sslverifydepth startservers startthreads stricthostcheck substitute threadlimit threadsper \
    threadstacksize timeout traceenable transferlog typesconfig undefine unsetenv usecanonical user userdir xbithack \
    headername listenbacklog indexheadinsert proxypassreverse aliasmatch allow order require authname authuserfile \
    authgroupfile authbasic authdigest chrootdir coredumpdirectory";

/// Whether `name` is in `list`: as it stands there, or as what begins with it where it ends in `_`, or `is_begin`.
fn is_in(list: &str, name: &str, is_begin: bool) -> bool {
    list.split_whitespace().any(|known| match known.ends_with('_') || is_begin {
        true => name.starts_with(known),
        false => name == known,
    })
}

/// Beginnings of nginx's names that do not end in `_`.
const NGINX_BEGINS: &str = "autoindex brotli charset directio geoip gunzip gzip http2 http3 keepalive lingering mirror \
    more_ mp4 open_file_cache real_ip resolver send sendfile server_name server_names ssl_ sub_filter userid init_by_lua";

/// What a directive of nginx closes where it stands.
pub(super) fn by_nginx(directive: &Directive) -> Option<Why> {
    let name = directive.name.as_str();
    let is_off = directive.arg(0) == "off";
    match name {
        "deny" | "internal" | "limit_except" => Some(Why::Access),
        "auth_basic"
        | "auth_request"
        | "auth_jwt"
        | "ssl_verify_client"
        | "secure_link"
        | "ssl_reject_handshake" => (!is_off).then_some(Why::Access),
        "secure_link_secret" => Some(Why::Access),
        "if" => directive.inner().iter().filter_map(|inner| by_condition(directive, inner)).min(),
        "perl" | "js_content" | "ssi" | "stub_status" | "empty_gif" if !is_off => Some(Why::Script),
        "include" if !is_harmless_file(directive.arg(0)) => Some(Why::Unknown),
        "include" => None,
        _ if name.contains("access_by_lua") => Some(Why::Access),
        _ if name.contains("_by_lua") && !name.starts_with("init") && !name.starts_with("log") => {
            Some(Why::Script)
        }
        _ if name.ends_with("_pass") && name != "proxy_pass" => Some(Why::Script),
        _ if is_in(NGINX, name, false) || is_in(NGINX_BEGINS, name, true) => None,
        _ => (!is_off).then_some(Why::Unknown),
    }
}

/// What `inner` closes for the requests that a condition of nginx is for.
fn by_condition(condition: &Directive, inner: &Directive) -> Option<Why> {
    match inner.name.as_str() {
        "return" if inner.arg(0).starts_with(['4', '5']) => Some(Why::Access),
        "return" => {
            Some(Why::Elsewhere).filter(|_| !is_of_origin(condition) || !leads_to_origin(condition, inner))
        }
        "rewrite" => Some(Why::Elsewhere).filter(|_| !is_harmless_if(condition)),
        "root" | "alias" => Some(Why::Elsewhere),
        name if name.ends_with("_pass") => Some(Why::Elsewhere),
        _ => by_nginx(inner),
    }
}

/// Whether a condition asks only how a request came here: by which host or scheme. It is redirected to what is served by
/// another. Those of `OPTIONS` ask for no content.
pub(super) fn is_of_origin(condition: &Directive) -> bool {
    const ASKED: &[&str] = &[
        "$host",
        "$http_host",
        "$server_name",
        "$scheme",
        "$https",
        "$server_port",
        "$http_x_forwarded_proto",
    ];
    let text = condition.args.join(" ");
    let mut words =
        text.trim_matches(['(', ')', ' ']).split([' ', '=', '!', '~']).filter(|word| !word.is_empty());
    match words.next() {
        Some("$request_method") => {
            words.next() == Some("OPTIONS") && text.contains('=') && !text.contains('!')
        }
        Some(asked) => ASKED.contains(&asked),
        None => false,
    }
}

/// Whether a `return` sends to another host or scheme; one of `OPTIONS` sends nothing.
fn leads_to_origin(condition: &Directive, inner: &Directive) -> bool {
    let is_url = |text: &str| {
        text.starts_with("http://") || text.starts_with("https://") || text.starts_with("$scheme://")
    };
    is_url(inner.arg(0)) || is_url(inner.arg(1)) || condition.args.join(" ").contains("$request_method")
}

/// Whether a rewrite in an `if` is for what is not there, as that of a program that answers for the rest.
fn is_harmless_if(directive: &Directive) -> bool {
    let condition = directive.args.join(" ");
    let condition = condition.trim_matches(['(', ')', ' ']);
    condition == "!-e $request_filename" || condition == "!-f $request_filename"
}

/// Whether an included file, by its name, has nothing that matters here.
fn is_harmless_file(path: &str) -> bool {
    const FILES: &[&str] = &[
        "mime.types",
        "fastcgi_params",
        "fastcgi.conf",
        "scgi_params",
        "uwsgi_params",
        "proxy_params",
        "snakeoil.conf",
        "options-ssl-nginx.conf",
        "koi-utf",
        "koi-win",
        "win-utf",
        "envvars",
        "options-ssl-apache.conf",
    ];
    FILES.contains(&path.rsplit('/').next().unwrap_or(path))
}

/// What a directive of Apache closes where it stands, or `Some(None)` if it opens it.
pub(super) fn by_apache(directive: &Directive) -> Option<Option<Why>> {
    let is = |nth: usize, text: &str| directive.arg(nth).eq_ignore_ascii_case(text);
    match directive.name.as_str() {
        "require" if is(0, "all") && is(1, "granted") => Some(None),
        "allow" if is(0, "from") && is(1, "all") => Some(None),
        "allow" | "satisfy" => None,
        // What else is said is read by its section.
        "order" => None,
        "require" | "deny" | "authtype" | "requireall" | "requireany" | "requirenone" | "limit"
        | "limitexcept" | "sslrequire" | "sslrequiressl" | "allowmethods" => Some(Some(Why::Access)),
        "sslverifyclient" => (!is(0, "none")).then_some(Some(Why::Access)),
        "sethandler" if is(0, "none") || is(0, "default-handler") => Some(None),
        // It chooses among files.
        "addhandler" if is(0, "type-map") => None,
        "sethandler" | "addhandler" | "action" | "script" | "wsgiscriptalias" => Some(Some(Why::Script)),
        "setoutputfilter" | "addoutputfilter" | "addoutputfilterbytype"
            if directive.arg(0).to_ascii_uppercase().contains("INCLUDES") && directive.arg(1) != ".shtml" =>
        {
            Some(Some(Why::Script))
        }
        "options" => {
            let runs = |word: &String| {
                ["includes", "+includes", "includesnoexec", "+includesnoexec"]
                    .contains(&&*word.to_ascii_lowercase())
            };
            directive.args.iter().any(runs).then_some(Some(Why::Script))
        }
        "addtype" if directive.arg(0).contains("httpd-php") => Some(Some(Why::Script)),
        name if name.starts_with("php") => Some(Some(Why::Script)),
        "accessfilename" if !is(0, ".htaccess") => Some(Some(Why::Unknown)),
        "include" | "includeoptional" => (!is_harmless_file(directive.arg(0))).then_some(Some(Why::Unknown)),
        "files" | "filesmatch" | "if" | "elseif" | "else" | "location" | "locationmatch" | "directory"
        | "directorymatch" | "proxy" | "proxymatch" | "ifmodule" | "ifdefine" | "ifversion"
        | "rewriterule" | "rewritecond" | "redirect" | "redirectmatch" | "redirectpermanent"
        | "redirecttemp" | "macro" | "virtualhost" | "ifdirective" | "ifsection" | "iffile" => None,
        name if APACHE.split_whitespace().any(|known| name.starts_with(known)) => None,
        _ => Some(Some(Why::Unknown)),
    }
}
