"""Settings: where values come from, what is refused and in which words, and what never gets shown."""

import json
from pathlib import Path

import pytest

from processor.config import ConfigError, Settings, as_environment, effective, load_settings, mask_dsn

CERTIFICATE, KEY = (
    Path(__file__).parent / "rpc_certificates" / f"{name}.pem" for name in ("server", "server-key")
)
A_URL = "a URL such as postgresql://user:password@localhost:5432/loyalty"
DSN = "postgresql://till:s3cret@db1:5432,db2:5433/loyalty"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"LOYALTY_{name.upper()}", raising=False)


def problems(**overrides: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_settings(**overrides)
    return caught.value.lines


def test_a_flag_wins_over_the_environment_and_each_value_tells_its_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOYALTY_DSN", DSN)
    monkeypatch.setenv("LOYALTY_WORKERS", "4")
    monkeypatch.setenv("LOYALTY_LANES", "4")
    settings = load_settings(workers=2, http_port=None)
    shown = {option.name: (option.value, option.source) for option in effective(settings)}
    assert shown["workers"] == (2, "flag")
    assert shown["lanes"] == (4, "environment")
    assert shown["http_port"] == (9464, "default")


def test_the_effective_settings_hide_the_password() -> None:
    settings = load_settings(dsn=DSN)
    assert "s3cret" not in json.dumps(effective(settings))
    assert "s3cret" not in repr(settings)
    assert effective(settings)[0].value == "postgresql://till:***@db1:5432,db2:5433/loyalty"


def test_a_child_process_loads_equal_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(dsn=DSN, workers=3, drain_seconds=0.5, log_level="debug")
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert load_settings().model_dump() == settings.model_dump()


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOYALTY_PORT", "")
    assert load_settings(dsn=DSN).port == 50051


@pytest.mark.parametrize(
    "dsn, masked",
    [
        (DSN, "postgresql://till:***@db1:5432,db2:5433/loyalty"),
        ("postgres://till@db/loyalty", "postgres://till@db/loyalty"),
        ("postgresql://u:p@ss/w:rd@db/x", "postgresql://u:***@db/x"),
        ("postgresql://u:p?w@db1,db2/x?user=u", "postgresql://u:***@db1,db2/x?user=u"),
        ("postgresql://db1:5432,db2:5433/x?user=u@x", "postgresql://db1:5432,db2:5433/x?user=u@x"),
        ("postgresql://db/x?user=u&password=pw&sslmode=require", None),
        ("postgresql://u:pw@/x?host=/run/pg&sslpassword=pw", None),
        ("host=a,b user=u password=pw dbname=x", "host=a,b user=u password=*** dbname=x"),
        (r"password = 'pw pw\'pw' host=a", "password = *** host=a"),
        ("PASSWORD=pw", "PASSWORD=***"),
    ],
)
def test_every_form_of_dsn_loses_its_password(dsn: str, masked: str | None) -> None:
    assert "pw" not in mask_dsn(dsn)
    assert masked is None or mask_dsn(dsn) == masked


def test_every_problem_gets_one_line_that_says_what_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOYALTY_PORT", "tcp://10.0.0.1:80")
    monkeypatch.setenv("LOYALTY_LOG_FORMAT", "xml")
    monkeypatch.setenv("LOYALTY_RETRY_SECONDS", "nan")
    assert problems(workers=0, tls_key_file="/no/such.pem", colour="red") == [
        f"LOYALTY_DSN (or --dsn) is not set; it must be {A_URL}",
        "LOYALTY_PORT is 'tcp://10.0.0.1:80'; it must be a whole number from 0 to 65,535",
        "--workers is '0'; it must be a whole number from 1 to 256",
        "LOYALTY_RETRY_SECONDS is 'nan'; it must be a number from 0 to 300",
        "--tls-key-file is '/no/such.pem'; it must be the path of a file that exists",
        "LOYALTY_LOG_FORMAT is 'xml'; it must be 'auto' or 'json' or 'console'",
        "--colour is not an option; `loyalty-processor config` lists those there are",
    ]


def test_a_dsn_of_the_wrong_form_is_refused_without_telling_its_password() -> None:
    assert problems(dsn="host=db password=s3cret") == [f"--dsn is 'host=db password=***'; it must be {A_URL}"]


@pytest.mark.parametrize(
    "address",
    ["u:***@db:abc", "u:***@db:65536", "u:***@db1,db2:abc", "u:***@db1,", "u:***@[::1", "db/x?sslmode"],
)
def test_a_dsn_that_names_no_server_is_refused(address: str) -> None:
    dsn = f"postgresql://{address.replace('***', 's3cret')}"
    assert problems(dsn=dsn) == [f"--dsn is 'postgresql://{address}'; it must be {A_URL}"]


@pytest.mark.parametrize(
    "address",
    ["", "db", "/loyalty?host=/run/pg&port=1", "u@[::1]:1,db:2/loyalty", "u:p%3Fw@db/x?sslmode=require"],
)
def test_a_dsn_may_name_servers_in_many_ways(address: str) -> None:
    assert load_settings(dsn=f"postgresql://{address}").dsn.get_secret_value().endswith(address)


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if "file" not in name])
def test_every_option_refuses_nonsense_in_its_own_words(name: str) -> None:
    nonsense: object = [] if name in ("host", "http_host") else "nonsense"
    (line,) = problems(**{"dsn": DSN, name: nonsense})
    assert line.startswith(f"--{name.replace('_', '-')} is ")
    assert "None" not in line


@pytest.mark.parametrize(
    "options, complaint",
    [
        ({"tls_cert_file": __file__}, "there is no key; set LOYALTY_TLS_KEY_FILE too"),
        ({"tls_key_file": __file__}, "there is no certificate; set LOYALTY_TLS_CERT_FILE too"),
        ({"tls_client_ca_file": __file__}, "set LOYALTY_TLS_CERT_FILE and LOYALTY_TLS_KEY_FILE too"),
        (
            {"tls_cert_file": __file__, "tls_key_file": __file__},
            "a certificate and its unencrypted key in PEM (",
        ),
        (
            {"tls_cert_file": CERTIFICATE, "tls_key_file": KEY, "transport": "native"},
            "and --transport is native, which has no TLS; end TLS in a proxy before it, or choose",
        ),
        ({"drain_seconds": 9, "stop_seconds": 5}, "--drain-seconds is 9.0 and --stop-seconds is 5.0"),
        ({"port": 9464}, "--port is 9464 and LOYALTY_HTTP_PORT is 9464; gRPC and HTTP need a port each"),
    ],
)
def test_contradictions_are_refused(options: dict[str, object], complaint: str) -> None:
    (line,) = problems(dsn=DSN, **options)
    assert complaint in line


def test_the_native_transport_asks_for_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processor.config.find_spec", lambda _: None)
    assert problems(dsn=DSN, transport="native") == [
        "--transport is native but pygrpc-native is not installed; install loyalty-processor[native]"
    ]


def test_equal_free_ports_are_no_contradiction() -> None:
    assert load_settings(dsn=DSN, port=0, http_port=0).port == 0


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / "settings.env"


def test_a_value_of_the_file_is_told_from_the_variable_and_the_flag_that_win_over_it(
    monkeypatch: pytest.MonkeyPatch, env_file: Path
) -> None:
    names = ("lanes", "workers", "reads_max", "calls_max")
    env_file.write_text("".join(f"LOYALTY_{name.upper()}=11\n" for name in names))
    monkeypatch.setenv("LOYALTY_LANES", "12")
    monkeypatch.setenv("LOYALTY_READS_MAX", "")
    settings = load_settings(env_file, dsn=DSN, workers=13)
    shown = {option.name: (option.value, option.source) for option in effective(settings)}
    assert [shown[name] for name in names] == [
        (12, "environment"),
        (13, "flag"),
        (11, "env file"),
        (11, "env file"),
    ]
    assert shown["batch_ops_max"] == (500, "default")


@pytest.mark.parametrize(
    "line, host",
    [
        ("LOYALTY_HOST=::1", "::1"),
        ("  LOYALTY_HOST = a b \r", "a b"),
        ("export LOYALTY_HOST=a", "a"),
        ("LOYALTY_HOST=a#b # c", "a#b"),
        ("LOYALTY_HOST='a # \"b\"' # c", 'a # "b"'),
        ('LOYALTY_HOST="a\'$b${c}\\"', "a'$b${c}\\"),
        ("LOYALTY_HOST=", "127.0.0.1"),
        ("LOYALTY_HOST= # c", "127.0.0.1"),
        ('LOYALTY_HOST=""', "127.0.0.1"),
        ("\ufeffLOYALTY_HOST=ü", "ü"),
        ("LOYALTY_HOST=a\nLOYALTY_HOST=b", "b"),
    ],
)
def test_a_line_of_the_file_gives_a_setting(env_file: Path, line: str, host: str) -> None:
    env_file.write_text(f"{line}\n\n \t# a comment=\n")
    assert load_settings(env_file, dsn=DSN).host == host


@pytest.mark.parametrize(
    "line, shown",
    [
        ("LOYALTY_LANES 4", None),
        ("LOYALTY_LANES: 4", None),
        ("LOYALTY_LANES", None),
        ("export LOYALTY_LANES", None),
        ('LOYALTY_LOG_LEVEL="debug', None),
        ("LOYALTY_LOG_LEVEL='debug' info", None),
        ("LOYALTY_LANES=#4", None),
        ("LOYALTY_HOST=a\0b", None),
        ("LANES=9", "LANES ***"),
        ("loyalty_lanes=9", "***"),
        ("LOYALTY__ENV_FILE=9", "LOYALTY__ENV_FILE ***"),
        ("LOYALTY_DSN postgresql://u:s3cret@db/x?sslmode=require", "LOYALTY_DSN ***"),
        ("LOYALTY_DSN: s3cret", "LOYALTY_DSN ***"),
        ('LOYALTY_DSN="s3cret', "LOYALTY_DSN ***"),
        ("LOYALTY_DNS: s3cret", "LOYALTY_DNS ***"),
        ("LOYALTY_HOST: postgresql://u:s3cret@db", "LOYALTY_HOST: postgresql://u:***@db"),
        ("s3cret=s3cret", "***"),
    ],
)
def test_a_line_of_the_file_that_is_none_is_refused_without_telling_a_secret(
    env_file: Path, line: str, shown: str | None
) -> None:
    env_file.write_text(f"# LOYALTY_HOST\nLOYALTY_WORKERS=2\n{line}\nnor this\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(env_file, dsn=DSN)
    assert caught.value.lines == [
        f"line 3 of {env_file} is {shown or line!r}; it must be LOYALTY_NAME=value, a comment or blank",
        f"line 4 of {env_file} is '***'; it must be LOYALTY_NAME=value, a comment or blank",
    ]


@pytest.mark.parametrize("name", ["LANE", "SELF", "ENV_FILE", "MODEL_CONFIG"])
def test_a_line_for_a_setting_that_there_is_not_is_refused(env_file: Path, name: str) -> None:
    env_file.write_text(f"LOYALTY_{name}=4\n")
    with pytest.raises(ConfigError, match=f"^LOYALTY_{name} is not an option; `loyalty-processor config`"):
        load_settings(env_file, dsn=DSN)


def test_a_value_of_the_file_is_refused_as_one_of_the_environment_is(env_file: Path) -> None:
    env_file.write_text("LOYALTY_LANES=four\nLOYALTY_DSN=host=db password=s3cret\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(env_file)
    assert caught.value.lines == [
        f"LOYALTY_DSN is 'host=db password=***'; it must be {A_URL}",
        "LOYALTY_LANES is 'four'; it must be a whole number from 1 to 64",
    ]


@pytest.mark.parametrize(
    "source, problem",
    [
        ("gone", "is not there; it must be a file of variables, a line each"),
        ("/", "is not there; it must be a file of variables, a line each"),
        ("/proc/self/mem", "can't be read: Input/output error"),  # even root can't
    ],
)
def test_a_file_that_cannot_be_read_is_told_in_one_line(env_file: Path, source: str, problem: str) -> None:
    env_file.symlink_to(source)
    with pytest.raises(ConfigError) as caught:
        load_settings(env_file, dsn=DSN)
    assert caught.value.lines == [f"{env_file} {problem}"]


def test_a_file_in_another_encoding_is_told_in_one_line(env_file: Path) -> None:
    env_file.write_bytes("LOYALTY_LANES=4 # für uns".encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        load_settings(env_file, dsn=DSN)
    assert caught.value.lines == [f"{env_file} must be in UTF-8; its byte 20 is not"]
