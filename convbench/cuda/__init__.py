"""What only CUDA devices need: queues of work with clocks of their own, what a device is, its ceilings, its faults.

Nothing here touches a device, or imports a library that may, before it is asked to.
"""
