"""The lab goes to the target."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_repx.errors import LabError, TargetError
from airflow_provider_repx.execution.transport import ShippedLab, ship_lab
from airflow_provider_repx.hooks.reaching import connector
from airflow_provider_repx.operators.base import RunTaskOperator
from airflow_provider_repx.triggers.slurm import LAB_ROOT_KEY

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["SyncLabOperator"]


class SyncLabOperator(RunTaskOperator):
    """Ship the lab to a target that does not see this machine's files; nothing is sent that is there already.

    Pushes where the target has the lab as XCom `lab_root`, for the tasks behind it. Fails for good where the target
    lacks an interpreter or a tool that the lab's scripts name: another try would find the same.
    """

    ui_color = "#e8f0fb"

    def execute(self, context: Context) -> dict[str, Any]:
        """Send what is missing."""
        self.require_same_lab(context)
        target = self.target
        transport = connector(target).open()

        async def ship() -> ShippedLab:
            try:
                return await ship_lab(self.lab, target.base_path, transport, umask=target.slurm.umask)
            finally:
                await transport.close()

        try:
            shipped = asyncio.run(ship())
        except (LabError, TargetError) as error:
            raise AirflowFailException(str(error)) from error
        if shipped.shared:
            self.log.info("%s sees the lab itself: %s", transport.description, shipped.path)
        else:
            self.log.info(
                "%s has the lab: %s (%d files with %d bytes were new)",
                transport.description,
                shipped.path,
                shipped.sent_contents,
                shipped.sent_bytes,
            )
        context["ti"].xcom_push(key=LAB_ROOT_KEY, value=str(shipped.path))
        return {"path": str(shipped.path), "shared": shipped.shared, "sent_bytes": shipped.sent_bytes}
