"""The course: exercises, the learner's workbook, what the specs said of it."""
