from latentcore.report.writing import write_report as write_report
