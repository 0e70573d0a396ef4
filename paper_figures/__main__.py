"""`python -m paper_figures [NAME ...]`: draws the figures, by default all for which there are results."""

from paper_figures import (
    api_table,
    command,
    draft_hardware,
    engine_ablation,
    engine_agents,
    fig1_throughput,
    fig2_timeline_client,
    fig3_speedup_model,
    fig4_timeline_engine,
    fig5_hit_rate,
    fig6_time_saved,
    fig7_cost,
    fig8_client_vs_engine,
    headroom,
    simulate_scaling,
    simulator_check,
    waste,
)

DRAWINGS = (
    fig1_throughput.MEASURED,
    fig1_throughput.REPLAYED,
    fig2_timeline_client.DRAWING,
    fig3_speedup_model.DRAWING,
    fig4_timeline_engine.DRAWING,
    fig5_hit_rate.DRAWING,
    fig6_time_saved.MEASURED,
    fig6_time_saved.REPLAYED,
    fig7_cost.DRAWING,
    fig8_client_vs_engine.DRAWING,
    engine_agents.DRAWING,
    engine_ablation.DRAWING,
    headroom.MEASURED,
    headroom.REPLAYED,
    waste.MEASURED,
    waste.REPLAYED,
    waste.BY_SAMPLES,
    draft_hardware.DRAWING,
    simulator_check.DRAWING,
    simulate_scaling.DRAWING,
    api_table.DRAWING,
)

if __name__ == "__main__":
    command.main(DRAWINGS)
