"""Where the DSNs come from, when the migration runs, and that two logins are enough."""

import secrets
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote, urlsplit

import asyncpg
import pytest

from storage.migrate import migrate
from storage.pool import open_pool
from tests.chart.chart import CNPG, DATABASE, NAME, Object, dotted, find, find_all, merged, pod_specs, render
from tests.chart.generate import README
from tests.chart.test_objects import EXTERNAL, PLAIN
from tests.postgres import Server, run

HOOK: Final = "helm.sh/hook"
VERIFYING: Final = {"verification": {"enabled": True}}
CRON_JOB_NAME_CHARS_MAX: Final = 52


def dsn_reference(workload: Object) -> dict[str, Any]:
    """The Secret and key that LOYALTY_DSN is taken from."""
    (spec,) = pod_specs([workload])
    (variable,) = [item for item in spec["containers"][0]["env"] if item["name"] == "LOYALTY_DSN"]
    return dict(variable["valueFrom"]["secretKeyRef"])


@pytest.mark.parametrize(
    "values, service, owner",
    [
        (DATABASE, {"name": "pg", "key": "dsn"}, {"name": "pg", "key": "owner-dsn"}),
        (
            {
                "database": {
                    "existingSecret": {"name": "a", "dsnKey": "b", "ownerName": "c", "ownerDsnKey": "d"}
                }
            },
            {"name": "a", "key": "b"},
            {"name": "c", "key": "d"},
        ),
        (PLAIN, {"name": NAME, "key": "dsn"}, {"name": f"{NAME}-owner", "key": "dsn"}),
        (EXTERNAL, {"name": NAME, "key": "dsn"}, {"name": f"{NAME}-owner", "key": "dsn"}),
    ],
    ids=["a Secret", "two Secrets", "in the values", "an external secret"],
)
def test_the_service_and_the_migration_log_in_differently(
    values: dict[str, Any], service: dict[str, str], owner: dict[str, str]
) -> None:
    objects = render(values)

    assert dsn_reference(find(objects, "Deployment")) == service
    assert dsn_reference(find(objects, "Job")) == owner


@pytest.mark.parametrize(
    "values, kind", [(PLAIN, "Secret"), (EXTERNAL, "ExternalSecret")], ids=["in the values", "external"]
)
def test_the_owners_dsn_is_there_before_the_migration_and_gone_after_it(
    values: dict[str, Any], kind: str
) -> None:
    objects = render(values)
    job, secret = find(objects, "Job"), find(objects, kind, f"{NAME}-owner")

    assert secret["metadata"]["annotations"] == {
        HOOK: "pre-install,pre-upgrade",
        "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
        "helm.sh/hook-weight": "-10",
    }
    assert job["metadata"]["annotations"][HOOK] == "pre-install,pre-upgrade"
    assert HOOK not in find(objects, kind, NAME)["metadata"].get("annotations", {})


@pytest.mark.parametrize(
    "values", [DATABASE, PLAIN, EXTERNAL, CNPG], ids=["a Secret", "in the values", "external", "a cluster"]
)
def test_verifications_log_in_as_the_migration_does(values: dict[str, Any]) -> None:
    objects = render(merged(values, VERIFYING))

    assert dsn_reference(find(objects, "CronJob")) == dsn_reference(find(objects, "Job"))


@pytest.mark.parametrize(
    "values, kind", [(PLAIN, "Secret"), (EXTERNAL, "ExternalSecret")], ids=["in the values", "external"]
)
@pytest.mark.parametrize("migrates", [True, False])
def test_the_owners_dsn_stays_for_verifications(values: dict[str, Any], kind: str, *, migrates: bool) -> None:
    objects = render(merged(values, VERIFYING, dotted("migration.enabled", migrates)))
    annotations = find(objects, kind, f"{NAME}-owner")["metadata"]["annotations"]

    assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation"


def test_there_are_no_verifications_unless_they_are_asked_for() -> None:
    assert find_all(render(DATABASE), "CronJob") == []


def test_the_name_of_the_verifications_leaves_room_for_their_time() -> None:
    values = merged(DATABASE, VERIFYING, {"fullnameOverride": "x" * 60})

    assert len(find(render(values), "CronJob")["metadata"]["name"]) <= CRON_JOB_NAME_CHARS_MAX


def test_the_migration_needs_nothing_of_the_release_that_does_not_exist_yet() -> None:
    (spec,) = pod_specs([find(render(DATABASE), "Job")])

    assert "serviceAccountName" not in spec
    assert spec["restartPolicy"] == "Never"


def test_the_first_install_of_a_cluster_migrates_beside_the_pods() -> None:
    job = find(render(CNPG), "Job")

    assert HOOK not in job["metadata"].get("annotations", {})
    assert find(render(CNPG), "Cluster")


def test_an_upgrade_with_a_cluster_migrates_before_the_pods() -> None:
    job = find(render(CNPG, is_upgrade=True), "Job")

    assert job["metadata"]["annotations"][HOOK] == "pre-install,pre-upgrade"


def test_another_image_is_another_job_where_the_job_is_no_hook() -> None:
    names = {find(render(merged(CNPG, {"image": {"tag": tag}})), "Job")["metadata"]["name"] for tag in "12"}

    assert len(names) == 2


def test_without_a_migration_no_owner_is_needed() -> None:
    values = {"database": {"dsn": "postgresql://a@b/c"}, "migration": {"enabled": False}}
    objects = render(values)

    assert find_all(objects, "Job") == []
    assert [secret["metadata"]["name"] for secret in find_all(objects, "Secret")] == [NAME]


def test_a_cluster_is_used_with_the_login_that_it_makes() -> None:
    objects = render(CNPG)
    (spec,) = pod_specs([find(objects, "Deployment")])
    dsn = next(item["value"] for item in spec["containers"][0]["env"] if item["name"] == "LOYALTY_DSN")
    cluster = find(objects, "Cluster")
    (role,) = cluster["spec"]["managed"]["roles"]
    initdb = cluster["spec"]["bootstrap"]["initdb"]
    parts = urlsplit(dsn.replace("$(DATABASE_PASSWORD)", "x"))

    assert parts.username == role["name"]
    assert role["inRoles"] == ["loyalty_service"]
    assert parts.hostname == f"{cluster['metadata']['name']}-rw"
    assert parts.path == f"/{initdb['database']}"
    assert dsn_reference(find(objects, "Job")) == {"name": f"{cluster['metadata']['name']}-app", "key": "uri"}


def test_the_cluster_stays_when_the_release_goes() -> None:
    annotations = find(render(CNPG), "Cluster")["metadata"]["annotations"]

    assert annotations["helm.sh/resource-policy"] == "keep"
    assert HOOK not in annotations


def test_acknowledged_means_on_a_standby_too() -> None:
    cluster = find(render(CNPG), "Cluster")["spec"]

    assert cluster["postgresql"]["synchronous"] == {
        "method": "any",
        "number": 1,
        "dataDurability": "required",
    }


# --- the roles that README.md tells to make ---------------------------------------------------------


@contextmanager
def logins(postgres: Server) -> Iterator[tuple[str, str]]:
    """DSNs of an owner and of a service's login, made by the README's statements under names of their own."""
    suffix = uuid.uuid4().hex[:8]
    names = {name: f"{name}_{suffix}" for name in ("loyalty_owner", "loyalty")}
    password = secrets.token_hex(8)
    statements = readme_statements(names, password)
    try:
        for statement in statements:
            postgres.execute(statement)
        owner, login = names.values()
        yield (
            as_login(postgres.dsn(login), owner, password),
            as_login(postgres.dsn(login), login, password),
        )
    finally:
        postgres.execute(f"DROP DATABASE IF EXISTS {names['loyalty']} WITH (FORCE)")
        for role in names.values():
            postgres.execute(f"DROP ROLE IF EXISTS {role}")


def readme_statements(names: dict[str, str], password: str) -> list[str]:
    """The README's SQL, except for the role that the whole server has once."""
    text = README.read_text().partition("```sql\n")[2].partition("```")[0].replace("...", password)
    for name, mine in names.items():
        text = text.replace(f" {name} ", f" {mine} ").replace(f" {name};", f" {mine};")
    return [line for line in text.splitlines() if "loyalty_service NOLOGIN" not in line]


def as_login(dsn: str, login: str, password: str) -> str:
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{login}:{quote(password)}@{host}").geturl()


def test_an_owner_who_may_make_no_roles_can_migrate_and_a_mere_member_can_serve(postgres: Server) -> None:
    with logins(postgres) as (owner, login):
        run(migrate(owner))
        run(use_as_the_service_does(login))


async def use_as_the_service_does(login: str) -> None:
    async with await open_pool(login, connections=1, statement_timeout_seconds=10) as pool:
        assert await pool.fetchval("SELECT current_user") == "loyalty_service"
        assert await pool.fetchval("SELECT count(*) FROM operation") == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute("DROP TABLE operation")


def test_the_commands_of_the_jobs_migrate_an_empty_database_and_verify_it(empty_database: str) -> None:
    objects = render(merged(DATABASE, VERIFYING))
    for kind in ("Job", "CronJob"):
        (spec,) = pod_specs([find(objects, kind)])
        (container,) = spec["containers"]
        assert container["command"] == ["loyalty-processor"]

        command = [sys.executable, "-m", "processor", *container["args"]]
        done = subprocess.run(
            command, env={"LOYALTY_DSN": empty_database}, capture_output=True, text=True, check=False
        )

        assert done.returncode == 0, done.stderr
