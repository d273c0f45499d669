"""The parts of the demonstration: trainings, scans of molecules, molten salt in LAMMPS, the report."""
