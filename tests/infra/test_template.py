"""The CloudFormation templates: valid, and no more is allowed than is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from devstack.s3_control_jobs import job_event

INFRA = Path(__file__).resolve().parents[2] / "infra"
TEMPLATE = INFRA / "s3-batch.yaml"
TEMPLATES = pytest.mark.parametrize("template", sorted(INFRA.glob("*.yaml")), ids=lambda file: file.name)


def resources_of(template: Path) -> dict[str, Any]:
    """The resources that a template describes."""
    from cfnlint.decode.cfn_yaml import load  # type: ignore[import-untyped]  # a second for each process

    resources: dict[str, Any] = load(str(template))["Resources"]
    return resources


def statements(template: Path) -> list[dict[str, Any]]:
    """All statements of all policies."""
    found: list[dict[str, Any]] = []
    for resource in resources_of(template).values():
        said = resource.get("Properties", {})
        for policy in [said, *said.get("Policies", [])]:
            found += policy.get("PolicyDocument", {}).get("Statement", [])
    return found


@TEMPLATES
def test_the_template_is_valid(template: Path) -> None:
    linter = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run([linter, str(template)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@TEMPLATES
def test_no_action_is_a_wildcard_and_only_listing_is_allowed_everywhere(template: Path) -> None:
    for statement in statements(template):
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not any("*" in action for action in actions)
        if statement["Resource"] == "*":
            assert set(actions) <= {
                "s3:CreateJob",
                "s3:ListJobs",
                "s3:ListAllMyBuckets",
                "batch:DescribeJobs",
                "ecs:DescribeTaskDefinition",
                "ec2:DescribeNetworkInterfaces",
            }


def test_the_rule_takes_the_events_of_jobs_that_have_ended_and_no_others() -> None:
    pattern = resources_of(TEMPLATE)["JobEnded"]["Properties"]["EventPattern"]

    def matches(wanted: Any, said: Any) -> bool:
        if isinstance(wanted, list):
            return said in wanted
        return all(name in said and matches(each, said[name]) for name, each in wanted.items())

    for status, taken in (("Complete", True), ("Failed", True), ("Cancelled", True), ("Active", False)):
        event = json.loads(json.dumps(job_event("job", status, "111122223333")))
        assert matches(pattern, event) is taken
