from django.db import migrations

from lib.partitions import partition_by_month


def partition(apps, editor):
    partition_by_month(editor, "routing_decision", "created_at", unique="public_id")


class Migration(migrations.Migration):
    dependencies = [("routing", "0002_initial")]
    operations = [migrations.RunPython(partition, migrations.RunPython.noop)]
