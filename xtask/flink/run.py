"""Runs one script of a Nexmark query on Flink, twice in one process, and prints the rate of the second run.

usage: run.py SCRIPT HOME EVENTS
"""
import re
import shutil
import sys

from pyflink.common import Configuration
from pyflink.table import EnvironmentSettings, TableEnvironment

script, home, events = sys.argv[1], sys.argv[2], int(sys.argv[3])
settings = {
    "parallelism.default": "1",
    "taskmanager.numberOfTaskSlots": "1",
    "taskmanager.memory.managed.size": "1g",
    "table.local-time-zone": "UTC",
    "execution.checkpointing.interval": "10s",
    "execution.checkpointing.dir": f"file://{home}/checkpoints",
    "pipeline.jars": f"file://{home}/udf.jar",
}
configuration = Configuration()
for key, value in settings.items():
    configuration.set_string(key, value)
tables = TableEnvironment.create(EnvironmentSettings.new_instance().with_configuration(configuration).build())

text = re.sub(r"--.*", "", open(script).read())
insert = None
for statement in (part.strip() for part in text.split(";")):
    if statement.upper().startswith("CREATE FUNCTION"):
        tables.execute_sql("CREATE FUNCTION count_char AS 'fleuve.CountChar'")
    elif statement.upper().startswith("INSERT"):
        insert = statement
    elif statement:
        tables.execute_sql(re.sub(r"'path'\s*=\s*'/", "'path' = 'file:///", statement))

output = re.search(r"'path'\s*=\s*'([^']*flink-output)'", text)
for _ in range(2):
    if output:
        shutil.rmtree(output.group(1), ignore_errors=True)
    job = tables.execute_sql(insert).get_job_client()
    seconds = job.get_job_execution_result().result().get_net_runtime() / 1000
print(f"events_per_second {events / seconds:.0f}")
