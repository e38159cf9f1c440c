"""The servers that development, the demo and the tests start: S3, SQS, S3 Control, and Dagster itself.

No emulator has S3 Control's CreateJob, so this package has a stand-in. The platform never imports this
package; its code does not belong here.
"""
