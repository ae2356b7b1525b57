"""Simulation of the graph by discrete events, to compare ways to scale it.

traces       arrivals of requests over time
replicas     one engine as a shared processor, and the detectors as a queue
reports      loads as Serve's controller sees them: through the replicas' own meters, and late
fleet        arrivals -> replicas, with starts, drains and a controller every second
controllers  the policy, Ray's default and a static fleet behind one interface
compare      each trace with each controller, and the table
plot         replicas over time as SVG

The policy is the code that runs in Serve's controller. Time is simulated: nothing reads a clock.
"""
